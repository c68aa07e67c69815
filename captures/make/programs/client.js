// client.js HOST VERSION CA: one HTTPS request with Node, trusting CA
const [host, version, ca] = process.argv.slice(2);
const v = version === '-' ? {} : {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
require('https').get({host, port: 443, path: '/', agent: false, ca: require('fs').readFileSync(ca), ...v}, r => {
  console.log(r.socket.getProtocol(), r.statusCode);
  r.resume();
}).on('error', e => { console.log(e.code, e.message); process.exitCode = 1; });
