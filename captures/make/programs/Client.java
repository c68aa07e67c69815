import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/** Client.java HOST VERSION CA [word...]: one HTTPS request with JSSE, trusting CA.
 *  Words: ocsp (revocation must be known), p12=FILE (client certificate), alpn=NAME, no-name (no host check), twice (resume),
 *  no-verify, silent (no request). */
class Client {
    public static void main(String[] a) throws Exception {
        Map<String, String> opt = new HashMap<>();
        for (int i = 3; i < a.length; i++) opt.put(a[i].split("=")[0], a[i].replaceFirst("^[^=]*=?", ""));
        KeyStore trust = KeyStore.getInstance("PKCS12");
        trust.load(null, null);
        try (InputStream in = new FileInputStream(a[2])) {
            trust.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory t = TrustManagerFactory.getInstance("PKIX");
        PKIXBuilderParameters params = new PKIXBuilderParameters(trust, new X509CertSelector());
        params.setRevocationEnabled(false);
        if (opt.containsKey("ocsp")) {
            PKIXRevocationChecker r = (PKIXRevocationChecker) CertPathBuilder.getInstance("PKIX").getRevocationChecker();
            r.setOptions(EnumSet.of(PKIXRevocationChecker.Option.ONLY_END_ENTITY, PKIXRevocationChecker.Option.NO_FALLBACK));
            params.addCertPathChecker(r);
        }
        t.init(new CertPathTrustManagerParameters(params));
        KeyManager[] keys = null;
        if (opt.containsKey("p12")) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(new FileInputStream(opt.get("p12")), "labpass".toCharArray());
            KeyManagerFactory k = KeyManagerFactory.getInstance("SunX509");
            k.init(store, "labpass".toCharArray());
            keys = k.getKeyManagers();
        }
        SSLContext ctx = SSLContext.getInstance("TLS");
        TrustManager[] all = {new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String type) {}
            public void checkServerTrusted(X509Certificate[] chain, String type) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        }};
        ctx.init(keys, opt.containsKey("no-verify") ? all : t.getTrustManagers(), null);
        try {
            for (int i = 0; i < (opt.containsKey("twice") ? 2 : 1); i++) {
                SSLSocket s = (SSLSocket) ctx.getSocketFactory().createSocket(a[0], 443);
                SSLParameters p = s.getSSLParameters();
                if (!opt.containsKey("no-name")) p.setEndpointIdentificationAlgorithm("HTTPS");
                if (opt.containsKey("alpn")) p.setApplicationProtocols(opt.get("alpn").split(","));
                if (!a[1].equals("-")) p.setProtocols(new String[] {"TLSv" + a[1]});
                s.setSSLParameters(p);
                s.setSoTimeout(10000);
                if (opt.containsKey("silent")) {
                    s.startHandshake();
                    System.out.println(s.getSession().getProtocol() + " closed without a request");
                    s.close();
                    continue;
                }
                s.getOutputStream().write(("GET / HTTP/1.0\r\nHost: " + a[0] + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
                String answer = new String(s.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
                System.out.println(s.getSession().getProtocol() + " " + answer.split("\r?\n")[0]);
                s.close();
            }
        } catch (IOException e) {
            for (Throwable x = e; x != null; x = x.getCause()) System.out.println(x);
            System.exit(1);
        }
    }
}
