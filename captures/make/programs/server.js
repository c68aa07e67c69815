// server.js PORT CHAIN KEY VERSION: a small HTTPS server with Node. CHAIN - : without certificate
const [port, chain, key, version, alpn] = process.argv.slice(2);
const fs = require('fs');
const v = version === '-' ? {} : {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
const c = chain === '-' ? {} : {cert: fs.readFileSync(chain), key: fs.readFileSync(key)};
const s = alpn ? require('tls').createServer({...c, ...v, ALPNProtocols: [alpn]}, k => k.end('hello\n'))
  : require('https').createServer({...c, ...v}, (q, r) => { r.setHeader('connection', 'close'); r.end('hello\n'); });
s.on('tlsClientError', e => console.log(e.message));
s.listen(port);
