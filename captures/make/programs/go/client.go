// client HOST VERSION CA [word...]: one HTTPS request with Go's crypto/tls, trusting CA.
// Words: cert=FILE key=FILE (client certificate), alpn=NAME, no-verify, silent (no request), pool (net/http: the second of two
// requests dials, and then takes the connection of the first).
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"time"
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
	if log := os.Getenv("SSLKEYLOGFILE"); log != "" {
		file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0600)
		check(err)
		config.KeyLogWriter = file
	}
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
	if _, ok := words["pool"]; ok {
		pool(host, config)
		return
	}
	conn, err := tls.Dial("tcp", host+":443", config)
	check(err)
	if _, ok := words["silent"]; ok {
		conn.Close()
		fmt.Printf("%x closed without a request\n", conn.ConnectionState().Version)
		return
	}
	fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host)
	body, err := io.ReadAll(conn)
	check(err)
	conn.Close()
	line, _, _ := strings.Cut(string(body), "\r\n")
	fmt.Printf("%x %s\n", conn.ConnectionState().Version, line)
}

func pool(host string, config *tls.Config) {
	transport := &http.Transport{TLSClientConfig: config}
	client := &http.Client{Transport: transport}
	var both sync.WaitGroup
	for i := 0; i < 2; i++ {
		both.Add(1)
		go func() {
			defer both.Done()
			reused := false
			trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }}
			request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", "https://"+host+"/", nil)
			check(err)
			answer, err := client.Do(request)
			check(err)
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			fmt.Println(answer.StatusCode, "reused", reused)
		}()
		time.Sleep(50 * time.Millisecond)
	}
	both.Wait()
	time.Sleep(500 * time.Millisecond)
	transport.CloseIdleConnections()
	time.Sleep(100 * time.Millisecond)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
