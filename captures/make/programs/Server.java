import java.io.*;
import java.net.*;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/** Server.java PORT P12 VERSION [word...]: a small HTTPS server with JSSE. P12 - : without certificate.
 *  Words: need=CA (client certificate), alpn=NAME, sni=NAME (other names are refused),
 *  wrongkey=P12 (certificate of the first file with the key of this one). */
class Server {
    public static void main(String[] a) throws Exception {
        Map<String, String> opt = new HashMap<>();
        for (int i = 3; i < a.length; i++) opt.put(a[i].split("=")[0], a[i].replaceFirst("^[^=]*=?", ""));
        char[] pass = "labpass".toCharArray();
        KeyManager[] keys = null;
        if (!a[1].equals("-")) {
            KeyStore store = read(a[1], pass);
            if (opt.containsKey("wrongkey")) {
                KeyStore mixed = KeyStore.getInstance("JKS"), other = read(opt.get("wrongkey"), pass);
                mixed.load(null, null);
                mixed.setKeyEntry("lab", other.getKey(other.aliases().nextElement(), pass), pass,
                                  store.getCertificateChain(store.aliases().nextElement()));
                store = mixed;
            }
            KeyManagerFactory k = KeyManagerFactory.getInstance("SunX509");
            k.init(store, pass);
            keys = k.getKeyManagers();
        }
        TrustManager[] trust = null;
        if (opt.containsKey("need")) {
            KeyStore t = KeyStore.getInstance("PKCS12");
            t.load(null, null);
            t.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(opt.get("need"))));
            TrustManagerFactory f = TrustManagerFactory.getInstance("PKIX");
            f.init(t);
            trust = f.getTrustManagers();
        }
        SSLContext ctx = SSLContext.getInstance("TLS");
        ctx.init(keys, trust, null);
        SSLServerSocket listen = (SSLServerSocket) ctx.getServerSocketFactory().createServerSocket(Integer.parseInt(a[0]));
        SSLParameters p = listen.getSSLParameters();
        if (!a[2].equals("-")) p.setProtocols(new String[] {"TLSv" + a[2]});
        if (opt.containsKey("need")) p.setNeedClientAuth(true);
        if (opt.containsKey("alpn")) p.setApplicationProtocols(new String[] {opt.get("alpn")});
        if (opt.containsKey("sni")) p.setSNIMatchers(List.of(SNIHostName.createSNIMatcher(opt.get("sni").replace(".", "\\."))));
        listen.setSSLParameters(p);
        while (true) {
            SSLSocket s = (SSLSocket) listen.accept();
            new Thread(() -> {
                try (s) {
                    if (s.getInputStream().read(new byte[4096]) > 0)
                        s.getOutputStream().write("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n".getBytes());
                } catch (IOException e) {
                    System.out.println(e);
                }
            }).start();
        }
    }

    static KeyStore read(String file, char[] pass) throws Exception {
        KeyStore k = KeyStore.getInstance("PKCS12");
        k.load(new FileInputStream(file), pass);
        return k;
    }
}
