// client HOST VERSION CA [word...]: one HTTPS request with Go's crypto/tls, trusting CA.
// Words: cert=FILE key=FILE (client certificate), alpn=NAME, no-verify.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	host, version, ca := os.Args[1], os.Args[2], os.Args[3]
	words := map[string]string{}
	for _, word := range os.Args[4:] {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	pem, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: host}
	if version != "-" {
		config.MinVersion = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[version]
		config.MaxVersion = config.MinVersion
	}
	if file, ok := words["cert"]; ok {
		pair, err := tls.LoadX509KeyPair(file, words["key"])
		check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	if name, ok := words["alpn"]; ok {
		config.NextProtos = []string{name}
	}
	_, config.InsecureSkipVerify = words["no-verify"]
	conn, err := tls.Dial("tcp", host+":443", config)
	check(err)
	fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host)
	body, err := io.ReadAll(conn)
	check(err)
	conn.Close()
	line, _, _ := strings.Cut(string(body), "\r\n")
	fmt.Printf("%x %s\n", conn.ConnectionState().Version, line)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
