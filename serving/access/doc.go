// Package access says who may ask the API, and keeps what was done there.
//
// A key is 32 random bytes, written as text; kept of it is its SHA-256 alone. A
// host is a name under which a server may be asked, so that a page whose own name
// was pointed at this machine gets no answer. The audit names every act before it
// is done and its outcome after; it is a file that only grows.
package access
