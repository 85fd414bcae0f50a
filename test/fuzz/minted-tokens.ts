/**
 * Keys and tokens for the verifier's harness. We made them once and deleted the private keys, so neither the fuzzer nor a
 * person can sign another token. They are constants, so that a run can be repeated.
 */
export const issuer = 'https://issuer.example';
export const audience = 'everywire';

export const keySet = {
  keys: [
    {
      kty: 'RSA',
      n: [
        'o_QS5DDSE-',
        '6C2JRZrqPKMTBmLbH2rSF2HhVx1HejPjZdQu486N653RL0yCfPgsBu1kFEfXUW7lyU7Z0vuToSuRo8Zf15lmcKzwdmv8eKzl',
        'yzpypA0bAb49BHhtBGWTnP2n6ZBjT_WGydFM3_zpokgse_LoCKlB--',
        'gnuDxnzkeq7A5EyJJFDWjqh4qS1uvXvngbJZERQ9iUH6DynkGFkNZoX_4-OzL-',
        'yHB17OfU7-ShC6GeRqMXZAE6klmfaufWIaxLTJWa6TO4Zz-aR_8WxYcSVW3HGeqce8F52kVdxI0yUfDDGDhqx895TI-',
        'eaRtTZnKjGv5ZdtPnHunVZg-doOlQ',
      ].join(''),
      e: 'AQAB',
      kid: 'rs256',
    },
    {
      kty: 'EC',
      x: 'E_sM6mg1QNBL03p8giIc5qi59CDnttxpWiRCr7MVcNQ',
      y: 'Ltr5DdneTjRQ18K217yXvpIiJDaYijphz-YM5y-GqeM',
      crv: 'P-256',
      kid: 'es256',
    },
    {
      crv: 'Ed25519',
      x: 'DxhsQn6RghcdgAMZUM7TATeYYrjZp7tO-3MGhlkct2Q',
      kty: 'OKP',
      kid: 'eddsa',
    },
  ],
};

/** All of one subject, good until 2100. */
export const tokens = {
  RS256: [
    'eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzMjU2In0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxl',
    'Iiwic3ViIjoidXNlci0xIiwiYXVkIjoiZXZlcnl3aXJlIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjE3MDAwMDAwMDAsImlh',
    'dCI6MTcwMDAwMDAwMCwianRpIjoidG9rZW4tMSIsImV2ZXJ5d2lyZSI6eyJzdWJzY3JpYmUiOlsiY2hhdC8qKiIsIiFjaGF0',
    'L3NlY3JldCJdLCJwdWJsaXNoIjpbInVzZXIve3N1Yn0vKiJdLCJhZG1pbiI6ZmFsc2V9fQ.A4lCIcurRIczIqsSL0maYlo34',
    'ZDAhQ_Kg0bxEUlp_pCIF0jK63ipVzI9cBesw5sdlYlgtkzEkiXKKegOp8P8pO-MmYFj3HJLYM4zZUAA-dRVBrvMmWuvlY3MZ',
    'IWOM84DtE08s_C1S1YdBMSBgp5FrjkxMlkTR3lUXSP6ZoSnGVA6JCvFV6i2uZL0DXGZHYVXZbaSeXkNlO2I20oCAbJi9Ygq-',
    'KfPTBjutA6KRdcPi1vEnMRUE18LTfAiThA0-Mc1KhgX3CytN6k0Oc9kd6I1KK0677GToYvEIZSwLxqa_OpY8OIr-',
    'rOjl4xC_IwCfrnh7DUw-ks0bWbfInzGJsCf4w',
  ].join(''),
  ES256: [
    'eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVzMjU2In0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxl',
    'Iiwic3ViIjoidXNlci0xIiwiYXVkIjoiZXZlcnl3aXJlIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjE3MDAwMDAwMDAsImlh',
    'dCI6MTcwMDAwMDAwMCwianRpIjoidG9rZW4tMSIsImV2ZXJ5d2lyZSI6eyJzdWJzY3JpYmUiOlsiY2hhdC8qKiIsIiFjaGF0',
    'L3NlY3JldCJdLCJwdWJsaXNoIjpbInVzZXIve3N1Yn0vKiJdLCJhZG1pbiI6ZmFsc2V9fQ.mmmtJsQ6bUCdTaySAoKAcRdvx',
    'kywfRhlw2_nlsk1GfYHVM9GF6is61AJ__jbbjvUrMGVa1nHn0CiX9msXlVAFg',
  ].join(''),
  EdDSA: [
    'eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkZHNhIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxl',
    'Iiwic3ViIjoidXNlci0xIiwiYXVkIjoiZXZlcnl3aXJlIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjE3MDAwMDAwMDAsImlh',
    'dCI6MTcwMDAwMDAwMCwianRpIjoidG9rZW4tMSIsImV2ZXJ5d2lyZSI6eyJzdWJzY3JpYmUiOlsiY2hhdC8qKiIsIiFjaGF0',
    'L3NlY3JldCJdLCJwdWJsaXNoIjpbInVzZXIve3N1Yn0vKiJdLCJhZG1pbiI6ZmFsc2V9fQ.sYhVqOlySCm7dgdDyjI0q5mWI',
    'fF6koGJi18cyrSq6umfOZ9b5hawE1aFbxkF8Xvl6kTEu7vu_JyVx8jZ6VGfDg',
  ].join(''),
};
