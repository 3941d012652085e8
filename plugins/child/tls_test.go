package child

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

// What a process knows its host by is what the host shows, on a curve that every TLS
// takes, and until the process has shown its own nobody is trusted.
func TestEachProcessGetsACertificateOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		conf, text, err := mutual()
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(rest) > 0 || string(block.Bytes) != string(conf.Certificates[0].Certificate[0]) {
			t.Fatal("the process is told of another certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		key, ok := cert.PublicKey.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() || cert.VerifyHostname("localhost") != nil || time.Until(cert.NotAfter) < 10*365*24*time.Hour {
			t.Errorf("it is %+v", cert.Subject)
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
		if !conf.RootCAs.Equal(x509.NewCertPool()) || seen[text] {
			t.Error("it trusts somebody, or is the same for two")
		}
		seen[text] = true
	}
}
