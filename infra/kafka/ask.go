package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"os"
)

// The two questions that every broker answers before it knows who asks, written
// by hand: a client's answer to a stranger's bytes is an error, and the bytes
// are what tells the stranger.
var (
	apiVersions   = request(18, nil)
	saslHandshake = request(17, append([]byte{0, 1}, '?')) // of a mechanism that none has
)

// correlation is the number by which an answer is known to be ours.
const correlation = 0x46455257

// request is a request of version 0 and key, from nobody.
func request(key uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, key)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = binary.BigEndian.AppendUint16(b, 0xffff) // no client id
	b = append(b, body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// isAnswer says that the bytes are a broker's answer to a request of ours.
func isAnswer(said []byte) bool {
	return len(said) >= 8 && binary.BigEndian.Uint32(said[4:]) == correlation
}

// ask sends bytes to an address, through TLS if that is on, and gives what comes
// back first.
func (c Config) ask(ctx context.Context, addr string, question []byte) (said []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := dialer(ctx)("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	config, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	if config != nil {
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(addr) // an address that was checked
		}
		conn = tls.Client(conn, config)
	}
	said, err = exchange(conn, question)
	if ctx.Err() != nil {
		err = os.ErrDeadlineExceeded // the connection was ended for it
	}
	return said, err
}

// exchange sends bytes over a connection and gives what comes back first.
func exchange(conn net.Conn, question []byte) (said []byte, err error) {
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	said = make([]byte, 512)
	n, err := io.ReadAtLeast(conn, said, 8)
	return said[:n], err
}

// speaksTLS says whether an address agrees on TLS, or tries to: whom it trusts
// is not asked, and nothing is told to it.
func speaksTLS(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := dialer(ctx)("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || isRefusal(err)
}

// mechanisms reads the answer to saslHandshake: what the broker offers, and
// whether it wants SASL at all.
func mechanisms(said []byte) (offers []string, wants bool) {
	const unsupported = 33 // Kafka's UNSUPPORTED_SASL_MECHANISM; without SASL it is ILLEGAL_SASL_STATE
	if !isAnswer(said) || len(said) < 14 || binary.BigEndian.Uint16(said[8:]) != unsupported {
		return nil, false
	}
	rest := said[14:]
	for range binary.BigEndian.Uint32(said[10:]) {
		if len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
			break
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		offers, rest = append(offers, string(rest[2:n])), rest[n:]
	}
	return offers, true
}
