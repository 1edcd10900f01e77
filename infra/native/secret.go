package native

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A Secret is what it takes to get through the second door of a Kafka, which
// speaks TLS and asks who is there (SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN). It is made
// at the first start of a folder and stays in it.
type Secret struct {
	Addr         string // host:port of that door
	CA           string // the file, in PEM, of who signed its certificate
	User         string
	Password     string
	PasswordFile string // holds the password and nothing else

	cluster string // the id of this Kafka
}

// user is who the second door lets in.
const user = "fernweh"

func secretDir(dir string) string { return filepath.Join(dir, "secret") }

// Secret is what it takes to get through Kafka's second door, once it was started.
func (s *Server) Secret() (Secret, error) {
	if s.kind != Kafka {
		return Secret{}, fmt.Errorf("%s asks for no password: only kafka does", s.kind)
	}
	secret, err := readSecret(secretDir(s.dir))
	if err != nil {
		return Secret{}, fmt.Errorf("secret of %s in %s: %w", s.kind, s.dir, err)
	}
	secret.Addr = s.addr("secure")
	return secret, nil
}

// readSecret reads what a folder holds.
func readSecret(dir string) (Secret, error) {
	s := Secret{CA: filepath.Join(dir, "ca.pem"), User: user, PasswordFile: filepath.Join(dir, "password")}
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return Secret{}, err
	}
	cluster, err := os.ReadFile(filepath.Join(dir, "cluster"))
	if err != nil {
		return Secret{}, err
	}
	s.Password, s.cluster = string(password), string(cluster)
	return s, nil
}

// openSecret reads what a folder holds, or makes it, wholly or not at all.
func openSecret(dir string) (Secret, error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return readSecret(dir)
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return Secret{}, err
	}
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return Secret{}, err
	}
	ca, server, err := certificates(time.Now())
	if err != nil {
		return Secret{}, fmt.Errorf("make certificates: %w", err)
	}
	for name, b := range map[string][]byte{
		"ca.pem":     ca,
		"server.pem": server,
		"password":   []byte(hex.EncodeToString(random(16))),
		"cluster":    []byte("A" + base64.RawURLEncoding.EncodeToString(random(16))[1:]), // never taken for a flag
	} {
		if err := os.WriteFile(filepath.Join(fresh, name), b, 0o600); err != nil {
			return Secret{}, err
		}
	}
	if err := os.Rename(fresh, dir); err != nil {
		return Secret{}, err
	}
	return readSecret(dir)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// scramMechanisms are the ones for which Kafka keeps a verifier of the password.
var scramMechanisms = []string{"SCRAM-SHA-512", "SCRAM-SHA-256"}

// scram is the verifier of the password, as Kafka's format takes it: the
// password itself would be seen in the list of processes.
func (s Secret) scram(mechanism string) (string, error) {
	const iterations = 4096 // the fewest that Kafka takes
	salt := random(16)
	salted, err := salt, error(nil)
	switch mechanism {
	case "SCRAM-SHA-512":
		salted, err = saltPassword(sha512.New, s.Password, salt, iterations)
	case "SCRAM-SHA-256":
		salted, err = saltPassword(sha256.New, s.Password, salt, iterations)
	default:
		err = fmt.Errorf("no verifier is known for %s", mechanism)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`%s=[name=%s,iterations=%d,salt="%s",saltedpassword="%s"]`, mechanism, s.User, iterations,
		base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(salted)), nil
}

func saltPassword(h func() hash.Hash, password string, salt []byte, iterations int) ([]byte, error) {
	return pbkdf2.Key(h, password, salt, iterations, h().Size())
}

// validity of the certificates: longer than anybody keeps the folder.
const validity = 10 * 365 * 24 * time.Hour

// certificates makes an authority that signs once: its own certificate, and the
// server's with its key before it, as Kafka reads them.
func certificates(now time.Time) (ca, server []byte, err error) {
	authority := certificate("Fernweh development CA", now)
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, signer.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leaf := certificate("localhost", now)
	leaf.DNSNames, leaf.IPAddresses = []string{"localhost"}, []net.IP{net.ParseIP(host)}
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	server = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	server = append(server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})...)
	return ca, append(server, ca...), nil
}

// certificate is what both certificates have: a name, a number, a time.
func certificate(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(random(16)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}
