import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * A webhook receiver without dependencies: verifies the signature, drops what it has seen, prints the rest.
 *
 *     java examples/WebhookReceiver.java 9000 whsec_…
 *
 * The server has to be allowed to call it: EVERYWIRE_WEBHOOKS__ALLOW_TARGETS=127.0.0.1
 */
public class WebhookReceiver {
  private static final long TOLERANCE_SECONDS = 300;
  // In real life: a table, written in the same transaction as what the message does.
  private static final Set<String> seen = ConcurrentHashMap.newKeySet();
  private static byte[] key;

  public static void main(String[] arguments) throws IOException {
    key = Base64.getDecoder().decode(arguments[1].replaceFirst("^whsec_", ""));
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
    server.createContext("/", WebhookReceiver::receive);
    server.start();
    System.err.println("listening on " + server.getAddress().getPort());
  }

  private static void receive(HttpExchange exchange) throws IOException {
    var body = exchange.getRequestBody().readAllBytes();
    var id = header(exchange, "webhook-id");
    var isGenuine = isGenuine(exchange, id, body);
    if (isGenuine && seen.add(id)) System.out.println(new String(body, StandardCharsets.UTF_8));
    exchange.sendResponseHeaders(isGenuine ? 204 : 401, -1);
    exchange.close();
  }

  private static boolean isGenuine(HttpExchange exchange, String id, byte[] body) {
    try {
      var timestamp = header(exchange, "webhook-timestamp");
      var ageSeconds = Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp));
      if (ageSeconds > TOLERANCE_SECONDS) return false;
      var mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
      var expected = "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body));
      for (var given : header(exchange, "webhook-signature").split(" ")) {
        if (MessageDigest.isEqual(given.getBytes(), expected.getBytes())) return true;
      }
      return false;
    } catch (GeneralSecurityException | NumberFormatException refused) {
      return false;
    }
  }

  private static String header(HttpExchange exchange, String name) {
    var value = exchange.getRequestHeaders().getFirst(name);
    return value == null ? "" : value;
  }
}
