//! lab-rustls client HOST VERSION CA [word...]: one HTTPS request, trusting CA. HOST may be HOST:PORT.
//! lab-rustls server PORT CHAIN KEY VERSION [word...]: a small HTTPS server. CHAIN and KEY need not fit each other.
//! Words: cert=FILE key=FILE (client certificate), need=CA (demand one), alpn=NAME, staple=FILE, groups=p384, twice (resume),
//! grease (an encrypted hello that is none), no-verify, silent (no request).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{aws_lc_rs, hpke::Hpke, CryptoProvider};
use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::*;

type Any = Box<dyn std::error::Error + Send + Sync>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = if args[0] == "client" { client(&args[1..]) } else { server(&args[1..]) };
    if let Err(error) = done {
        println!("{error}");
        std::process::exit(1);
    }
}

fn words(args: &[String]) -> HashMap<&str, &str> {
    args.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect()
}

fn versions(word: &str) -> Vec<&'static SupportedProtocolVersion> {
    match word {
        "1.2" => vec![&version::TLS12],
        "1.3" => vec![&version::TLS13],
        _ => vec![&version::TLS12, &version::TLS13],
    }
}

fn provider(words: &HashMap<&str, &str>) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if words.contains_key("groups") {
        provider.kx_groups = vec![aws_lc_rs::kx_group::SECP384R1];
    }
    Arc::new(provider)
}

fn chain(file: &str) -> Result<Vec<CertificateDer<'static>>, Any> {
    Ok(CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?)
}

fn roots(file: &str) -> Result<Arc<RootCertStore>, Any> {
    let mut roots = RootCertStore::empty();
    for cert in chain(file)? {
        roots.add(cert)?;
    }
    Ok(Arc::new(roots))
}

fn client(args: &[String]) -> Result<(), Any> {
    let words = words(&args[3..]);
    let (host, port) = args[0].split_once(':').unwrap_or((&args[0], "443"));
    let config = ClientConfig::builder_with_provider(provider(&words));
    let config = if words.contains_key("grease") {
        let suite = aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
        let (key, _) = suite.generate_key_pair()?;
        config.with_ech(client::EchMode::Grease(client::EchGreaseConfig::new(suite, key)))?
    } else {
        config.with_protocol_versions(&versions(&args[1]))?
    };
    let config = config
        .with_root_certificates(roots(&args[2])?);
    let mut config = match words.get("cert") {
        Some(file) => config.with_client_auth_cert(chain(file)?, PrivateKeyDer::from_pem_file(words["key"])?)?,
        None => config.with_no_client_auth(),
    };
    if let Some(name) = words.get("alpn") {
        config.alpn_protocols = vec![name.as_bytes().to_vec()];
    }
    if words.contains_key("no-verify") {
        let all = Anything(config.crypto_provider().clone());
        config.dangerous().set_certificate_verifier(Arc::new(all));
    }
    let config = Arc::new(config);
    for _ in 0..if words.contains_key("twice") { 2 } else { 1 } {
        let mut tls = ClientConnection::new(config.clone(), ServerName::try_from(host.to_owned())?)?;
        let mut tcp = TcpStream::connect((host, port.parse()?))?;
        let mut body = Vec::new();
        if words.contains_key("silent") {
            while tls.is_handshaking() {
                tls.complete_io(&mut tcp)?;
            }
        } else {
            let mut stream = Stream::new(&mut tls, &mut tcp);
            stream.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
            stream.read_to_end(&mut body)?;
        }
        tls.send_close_notify();
        let _ = tls.write_tls(&mut tcp);
        let line = String::from_utf8_lossy(&body).lines().next().unwrap_or("closed without a request").to_owned();
        println!("{:?} {:?} {line}", tls.protocol_version().unwrap(), tls.handshake_kind().unwrap());
    }
    Ok(())
}

fn server(args: &[String]) -> Result<(), Any> {
    let words = words(&args[4..]);
    let provider = provider(&words);
    let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions(&args[3]))?;
    let config = match words.get("need") {
        Some(file) => config.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(file)?, provider.clone()).build()?),
        None => config.with_no_client_auth(),
    };
    let key = if args[1] == "-" {
        None
    } else {
        let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_file(&args[2])?)?;
        let mut key = CertifiedKey::new(chain(&args[1])?, key);
        key.ocsp = words.get("staple").map(std::fs::read).transpose()?;
        Some(Arc::new(key))
    };
    let mut config = config.with_cert_resolver(Arc::new(One(key)));
    if let Some(name) = words.get("alpn") {
        config.alpn_protocols = vec![name.as_bytes().to_vec()];
    }
    let config = Arc::new(config);
    for tcp in TcpListener::bind(("::", args[0].parse()?))?.incoming() {
        let config = config.clone();
        std::thread::spawn(move || {
            if let Err(error) = tcp.map_err(Any::from).and_then(|tcp| serve(config, tcp)) {
                println!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(config: Arc<ServerConfig>, mut tcp: TcpStream) -> Result<(), Any> {
    let mut tls = ServerConnection::new(config)?;
    let mut stream = Stream::new(&mut tls, &mut tcp);
    if stream.read(&mut [0; 4096])? > 0 {
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")?;
    }
    tls.send_close_notify();
    tls.write_tls(&mut tcp)?;
    tcp.shutdown(std::net::Shutdown::Write)?;
    let _ = tcp.read(&mut [0; 4096]);
    Ok(())
}

/// One certificate for every name, with whatever key there is.
#[derive(Debug)]
struct One(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: &ServerName<'_>, _: &[u8], _: UnixTime)
        -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct)
        -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct)
        -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
