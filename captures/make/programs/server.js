// server.js PORT CHAIN KEY VERSION ALPN CA: a small HTTPS server with Node. CHAIN - : without certificate.
// ALPN - : HTTP without ALPN. CA: demand a client certificate under it
const [port, chain, key, version, alpn = '-', need] = process.argv.slice(2);
const fs = require('fs');
const v = version === '-' ? {} : {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
const c = chain === '-' ? {} : {cert: fs.readFileSync(chain), key: fs.readFileSync(key)};
const n = need ? {ca: fs.readFileSync(need), requestCert: true, rejectUnauthorized: true} : {};
const s = alpn !== '-' ? require('tls').createServer({...c, ...v, ALPNProtocols: [alpn]}, k => k.end('hello\n'))
  : require('https').createServer({...c, ...v, ...n}, (q, r) => { r.setHeader('connection', 'close'); r.end('hello\n'); });
s.on('tlsClientError', e => console.log(e.message));
s.listen(port);
