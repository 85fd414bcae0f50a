import ts from 'typescript';

/** A module whose branches count how often they are taken. */
export interface Instrumented {
  readonly branches: number;
  /** The code, with counters from `first` on. */
  readonly codeFrom: (first: number) => string;
  /** What the source compares with: keywords, magic numbers. */
  readonly literals: readonly (string | number)[];
}

/** Where the counters are, as a global: a module has no other way to be handed something before it runs. */
export const countersGlobal = '__everywireBranches';
const counters = '__branches';

/**
 * TypeScript → JavaScript with `__branches[n]++` where control flow parts: bodies of functions and loops, both sides of
 * `if` and `?:`, right sides of `&&`, `||` and `??`, clauses of `switch`, `catch`, default values.
 */
export function instrument(source: string, fileName: string): Instrumented {
  let branches = 0;
  const literals = new Set<string | number>();

  const transform: ts.TransformerFactory<ts.SourceFile> = (context) => {
    const { factory } = context;
    const count = (): ts.Expression =>
      factory.createPostfixIncrement(
        factory.createElementAccessExpression(factory.createIdentifier(counters), branches++),
      );
    const counted = (node: ts.Expression): ts.Expression =>
      factory.createParenthesizedExpression(factory.createComma(count(), node));
    const countedBlock = (node: ts.Statement | undefined): ts.Block => {
      const first = factory.createExpressionStatement(count());
      if (node === undefined) return factory.createBlock([first], true);
      return factory.createBlock([first, ...(ts.isBlock(node) ? node.statements : [node])], true);
    };

    /** Of functions that are not arrows. */
    const bodies = new Set<ts.Node | undefined>();
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isTypeNode(node)) return node;
      if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) literals.add(node.text);
      else if (ts.isNumericLiteral(node)) literals.add(Number(node.text));
      if (hasBody(node)) bodies.add(node.body);
      const seen = ts.visitEachChild(node, visit, context);
      if (ts.isIfStatement(seen)) {
        const { expression, thenStatement, elseStatement } = seen;
        return factory.updateIfStatement(
          seen,
          expression,
          countedBlock(thenStatement),
          countedBlock(elseStatement),
        );
      }
      if (ts.isConditionalExpression(seen)) {
        return factory.updateConditionalExpression(
          seen,
          seen.condition,
          seen.questionToken,
          counted(seen.whenTrue),
          seen.colonToken,
          counted(seen.whenFalse),
        );
      }
      if (ts.isBinaryExpression(seen) && choosing.has(seen.operatorToken.kind)) {
        return factory.updateBinaryExpression(seen, seen.left, seen.operatorToken, counted(seen.right));
      }
      if (ts.isCaseClause(seen)) {
        const first = factory.createExpressionStatement(count());
        return factory.updateCaseClause(seen, seen.expression, [first, ...seen.statements]);
      }
      if (ts.isDefaultClause(seen)) {
        const first = factory.createExpressionStatement(count());
        return factory.updateDefaultClause(seen, [first, ...seen.statements]);
      }
      if (ts.isCatchClause(seen)) {
        return factory.updateCatchClause(seen, seen.variableDeclaration, countedBlock(seen.block));
      }
      if (ts.isWhileStatement(seen)) {
        return factory.updateWhileStatement(seen, seen.expression, countedBlock(seen.statement));
      }
      if (ts.isDoStatement(seen)) {
        return factory.updateDoStatement(seen, countedBlock(seen.statement), seen.expression);
      }
      if (ts.isForStatement(seen)) {
        const { initializer, condition, incrementor } = seen;
        const body = countedBlock(seen.statement);
        return factory.updateForStatement(seen, initializer, condition, incrementor, body);
      }
      if (ts.isForOfStatement(seen)) {
        const { awaitModifier, initializer, expression } = seen;
        const body = countedBlock(seen.statement);
        return factory.updateForOfStatement(seen, awaitModifier, initializer, expression, body);
      }
      if (ts.isParameter(seen) && seen.initializer !== undefined) {
        const { modifiers, dotDotDotToken, name, questionToken, type } = seen;
        const value = counted(seen.initializer);
        return factory.updateParameterDeclaration(
          seen,
          modifiers,
          dotDotDotToken,
          name,
          questionToken,
          type,
          value,
        );
      }
      if (ts.isArrowFunction(seen)) {
        const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = seen;
        const countedBody = ts.isBlock(body) ? countedBlock(body) : counted(body);
        return factory.updateArrowFunction(
          seen,
          modifiers,
          typeParameters,
          parameters,
          type,
          equalsGreaterThanToken,
          countedBody,
        );
      }
      return ts.isBlock(seen) && bodies.has(node) ? countedBlock(seen) : seen;
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };

  const { outputText } = ts.transpileModule(source, {
    fileName,
    transformers: { before: [transform] },
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  });
  return {
    branches,
    codeFrom: (first) =>
      `const ${counters} = globalThis.${countersGlobal}.subarray(${first}, ${first + branches}); ${outputText}`,
    literals: [...literals],
  };
}

const choosing: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
  ts.SyntaxKind.QuestionQuestionEqualsToken,
]);

function hasBody(
  node: ts.Node,
): node is ts.FunctionDeclaration | ts.FunctionExpression | ts.MethodDeclaration {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isConstructorDeclaration(node) ||
    ts.isAccessor(node)
  );
}
