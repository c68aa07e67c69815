// client.js HOST VERSION CA [word...]: one HTTPS request with Node, trusting CA.
// Words: cert=FILE key=FILE (client certificate), alpn=NAME, ciphers=LIST, no-verify
const [host, version, ca, ...words] = process.argv.slice(2);
const fs = require('fs');
const opt = Object.fromEntries(words.map(w => w.split(/=(.*)/s).slice(0, 2)));
const v = version === '-' ? {} : {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
const c = 'cert' in opt ? {cert: fs.readFileSync(opt.cert), key: fs.readFileSync(opt.key)} : {};
if ('alpn' in opt) c.ALPNProtocols = [opt.alpn];
if ('ciphers' in opt) c.ciphers = opt.ciphers;
if ('no-verify' in opt) c.rejectUnauthorized = false;
require('https').get({host, port: 443, path: '/', agent: false, ca: fs.readFileSync(ca), ...v, ...c}, r => {
  console.log(r.socket.getProtocol(), r.statusCode);
  r.resume();
}).on('error', e => { console.log(e.code, e.message); process.exitCode = 1; });
