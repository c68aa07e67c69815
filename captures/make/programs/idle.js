// idle.js HOST VERSION CA HOW [word...]: a connection made with Node's tls or https module, and not used.
// HOW: end, destroy (in the callback), agent (a keep-alive agent's socket, then agent.destroy()), abort (a request, once it is connected).
// Words: no-verify, no-sni, idle=SECONDS
const [host, version, ca, how, ...words] = process.argv.slice(2);
const opt = Object.fromEntries(words.map(w => w.split(/=(.*)/s).slice(0, 2)));
const v = version === '-' ? {} : {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
const o = {host, port: 443, ca: require('fs').readFileSync(ca), rejectUnauthorized: !('no-verify' in opt), ...v};
if (!('no-sni' in opt)) o.servername = host;
const done = s => console.log(s.getProtocol(), 'closed without a request');
const later = f => 'idle' in opt ? setTimeout(f, 1000 * opt.idle) : f();
const fail = e => { console.log(e.code, e.message); process.exitCode = 1; };
if (how === 'agent') {
  const agent = new (require('https').Agent)({keepAlive: true});
  const s = agent.createConnection(o);
  s.on('secureConnect', () => { done(s); later(() => { agent.destroy(); s.destroy(); }); }).on('error', fail);
} else if (how === 'abort') {
  const q = require('https').request({...o, path: '/', agent: false}).on('error', e => console.log(e.code, e.message));
  q.on('socket', s => s.on('secureConnect', () => { done(s); q.destroy(); }));
} else {
  const s = require('tls').connect(o, () => { done(s); later(() => s[how]()); });
  s.on('error', fail);
}
