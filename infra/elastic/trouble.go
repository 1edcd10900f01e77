package elastic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("the store is closed")

// A refusal is an answer of the server that is no success.
type refusal struct {
	Status int
	Type   string // the server's name of what is wrong, such as index_not_found_exception
	Reason string
}

// Error says what the server said, and what to look at where that is known.
func (r *refusal) Error() string {
	said := fmt.Sprintf("Elasticsearch answers %d %s: %s", r.Status, r.Type, clip(r.Reason))
	switch {
	case r.Status == http.StatusUnauthorized:
		return said + " (it refuses the credentials: look at user and password, or the API key)"
	case r.Type == typeBlocked:
		return said + " (the index takes no writes: free disk space, then remove the block)"
	case r.Status == http.StatusForbidden:
		return said + " (the user lacks a privilege: it needs monitor and manage_index_templates, and all on its own indices)"
	case r.Status == http.StatusRequestEntityTooLarge:
		return said + " (a bulk request is too long: set fewer bytes, or raise http.max_content_length)"
	}
	return said
}

// Types of refusals that are acted upon.
const (
	typeNoIndex = "index_not_found_exception"
	typeExists  = "resource_already_exists_exception"
	typeNoAlias = "aliases_not_found_exception"
	typeBlocked = "cluster_block_exception"
)

// passing says whether what a status complains of may pass by itself. A block
// with 403 is set by hand and stays; the one of a full disk has 429.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// hopeful says whether a request that ended like this is worth another attempt.
func hopeful(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return passing(r.Status)
	}
	var unknown *foreignError
	return !errors.As(err, &unknown) && misset(err) == ""
}

// A foreignError is an answer that Elasticsearch does not give.
type foreignError struct {
	status int
	start  string // of the body
}

// Error says what speaks instead.
func (e *foreignError) Error() string {
	if strings.Contains(e.start, "HTTP request to an HTTPS server") {
		return "it speaks https: the address must begin with https://"
	}
	return fmt.Sprintf("what answers there is no Elasticsearch (HTTP %d without its header X-Elastic-Product: %q)", e.status, clip(e.start))
}

// misset names the setting that makes an attempt end in an error for ever;
// empty: it may pass.
func misset(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not known: set the CA file"
	case errors.As(err, &host):
		return "its certificate is for another host: use the address that stands in it"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "it does not speak https: begin the address with http://, or look at the port"
	case strings.Contains(text, "malformed HTTP"),
		strings.Contains(text, "readLoopPeekFailLocked"): // net/http's words if the greeting is there before the request
		return "what listens there speaks no HTTP: look at the port"
	}
	return ""
}

// explain is one sentence about an attempt to reach an address that failed.
func explain(address string, err error) error {
	why := misset(err)
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case why != "":
	case errors.As(err, &dns):
		why = "the host's name is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nothing listens there: is the server up, and the port right?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.Contains(err.Error(), "server closed idle connection"): // what net/http calls it depends on who is quicker
		why = "what listens there ends the connection without an answer: look at the port, and whether it speaks https"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why = "no answer in time: look at host and port, and whether the server is healthy"
	default:
		return fmt.Errorf("Elasticsearch at %s: %w", address, err)
	}
	return fmt.Errorf("Elasticsearch at %s: %s: %w", address, why, err)
}

// clip shortens what a server said for an error.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
