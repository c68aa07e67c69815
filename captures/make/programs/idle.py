"""idle.py HOST VERSION CA [word...]: a connection made with Python's ssl module, and not used.
Words: no-verify, no-sni, unwrap (take leave with close_notify), idle=SECONDS (before the end), pool (http.client connects, then closes),
spare (http.client connects twice and asks once), libcurl=LIBRARY (CURLOPT_CONNECT_ONLY)."""
import ctypes, http.client, socket, ssl, sys, time

host, version, ca, *words = sys.argv[1:]
opt = dict(w.partition("=")[::2] for w in words)
wait = float(opt.get("idle", 0))
ctx = ssl.create_default_context(cafile=ca)
if version != "-":
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
if "no-verify" in opt or "no-sni" in opt:
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
if "libcurl" in opt:
    curl = ctypes.CDLL(opt["libcurl"])
    curl.curl_easy_init.restype, curl.curl_easy_strerror.restype = ctypes.c_void_p, ctypes.c_char_p
    handle = ctypes.c_void_p(curl.curl_easy_init())
    verify = ctypes.c_long("no-verify" not in opt)
    for number, value in ((10002, f"https://{host}/".encode()), (10065, ca.encode()), (64, verify), (81, ctypes.c_long(2 * verify.value)), (141, ctypes.c_long(1))):
        curl.curl_easy_setopt(handle, number, value)      # URL, CAINFO, SSL_VERIFYPEER, SSL_VERIFYHOST, CONNECT_ONLY
    print(curl.curl_easy_strerror(curl.curl_easy_perform(handle)).decode())
    time.sleep(wait)
    curl.curl_easy_cleanup(handle)
elif "pool" in opt or "spare" in opt:
    pool = [http.client.HTTPSConnection(host, context=ctx) for _ in range(1 + ("spare" in opt))]
    for c in pool:
        c.connect()
    if "spare" in opt:
        pool[0].request("GET", "/")
        print(pool[0].getresponse().status)
    time.sleep(wait)
    print(pool[-1].sock.version(), "closed without a request")
    for c in pool:
        c.close()
else:
    with ctx.wrap_socket(socket.create_connection((host, 443), 10), server_hostname=None if "no-sni" in opt else host) as s:
        print(s.version(), "closed without a request", flush=True)
        time.sleep(wait)
        if "unwrap" in opt:
            try:
                s.unwrap()
            except (OSError, ssl.SSLError) as e:
                print(type(e).__name__)
