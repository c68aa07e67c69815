// Encrypted ClientHello (RFC 9849) with Go's crypto/tls, from 1.24 on.
//
//	ech keys ID PUBLICNAME FILE                   a key pair: FILE.key, FILE.config, FILE.list
//	ech server PORT CHAIN KEY [word...]           an HTTPS server; keys=FILE,FILE (which it decrypts by, the first is sent to clients that
//	                                              used another), older (TLS 1.2), group=p384 (which clients must be asked for)
//	ech client HOST CA LIST [word...]             one request for HOST at its address; LIST: a file of configurations, - for none;
//	                                              retry (once more with what the server sends), twice (resume), keylog=FILE
package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	words := map[string]string{}
	for _, word := range os.Args[min(5, len(os.Args)):] {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	switch a := os.Args; a[1] {
	case "keys":
		id, err := strconv.Atoi(a[2])
		check(err)
		keys(byte(id), a[3], a[4])
	case "server":
		server(a[2], a[3], a[4], words)
	case "client":
		client(a[2], a[3], a[4], words)
	}
}

func keys(id byte, name, file string) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(err)
	public := key.PublicKey().Bytes()
	body := []byte{id, 0, 0x20, 0, byte(len(public))} // DHKEM(X25519, HKDF-SHA256)
	body = append(body, public...)
	body = append(body, 0, 4, 0, 1, 0, 1, 32, byte(len(name))) // HKDF-SHA256 with AES-128-GCM
	body = append(append(body, name...), 0, 0)
	config := binary.BigEndian.AppendUint16([]byte{0xfe, 0x0d}, uint16(len(body)))
	config = append(config, body...)
	check(os.WriteFile(file+".key", key.Bytes(), 0o600))
	check(os.WriteFile(file+".config", config, 0o644))
	check(os.WriteFile(file+".list", append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...), 0o644))
}

func server(port, chain, key string, words map[string]string) {
	pair, err := tls.LoadX509KeyPair(chain, key)
	check(err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if files := words["keys"]; files != "" {
		for _, file := range strings.Split(files, ",") {
			config.EncryptedClientHelloKeys = append(config.EncryptedClientHelloKeys,
				tls.EncryptedClientHelloKey{Config: read(file + ".config"), PrivateKey: read(file + ".key"), SendAsRetry: true})
		}
	}
	if _, older := words["older"]; older {
		config.MaxVersion = tls.VersionTLS12
	}
	if _, other := words["group"]; other {
		config.CurvePreferences = []tls.CurveID{tls.CurveP384}
	}
	listener, err := tls.Listen("tcp", ":"+port, config)
	check(err)
	for {
		conn, err := listener.Accept()
		check(err)
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			if n, err := conn.Read(make([]byte, 4096)); err == nil && n > 0 {
				io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nhello\n")
			} else {
				fmt.Println(err)
			}
		}()
	}
}

func client(host, ca, list string, words map[string]string) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(ca))
	config := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if list != "-" {
		config.EncryptedClientHelloConfigList = read(list)
	}
	if file := words["keylog"]; file != "" {
		log, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		check(err)
		config.KeyLogWriter = log
	}
	_, twice := words["twice"]
	for again := true; again; again, twice = twice, false {
		err := ask(host, config)
		var rejected *tls.ECHRejectionError
		if _, retry := words["retry"]; retry && errors.As(err, &rejected) && len(rejected.RetryConfigList) > 0 {
			fmt.Println(err)
			config.EncryptedClientHelloConfigList = rejected.RetryConfigList
			time.Sleep(100 * time.Millisecond)
			err = ask(host, config)
		}
		check(err)
	}
}

func ask(host string, config *tls.Config) error {
	tcp, err := net.Dial("tcp", net.JoinHostPort(host, "443"))
	if err != nil {
		return err
	}
	conn := tls.Client(tcp, config)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(8 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	body, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(body), "\r\n")
	fmt.Println(line, "accepted:", conn.ConnectionState().ECHAccepted)
	return nil
}

func read(file string) []byte {
	data, err := os.ReadFile(file)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
