package serving

import (
	"net/http"
	"time"
)

// A client that sends or reads nothing is let go after these.
const (
	headPatience = 5 * time.Second  // for the head of a request
	sendPatience = 15 * time.Second // for all of it
	idlePatience = time.Minute      // between two requests
	maxHead      = 64 << 10         // bytes
)

// HTTPServer is a server for Handler, with the deadlines of what it reads.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headPatience, ReadTimeout: sendPatience, IdleTimeout: idlePatience, MaxHeaderBytes: maxHead,
	}
}

// writePatience is for all of an answer, from its first byte: a client that does
// not read holds it no longer. What streams may take more by
// http.ResponseController.
const writePatience = 30 * time.Second

// A slowWriter gives the writing of an answer its deadline. It begins with the first
// byte, so that an answer may be waited for as long as its own deadline says.
type slowWriter struct {
	http.ResponseWriter
	patience time.Duration
	begun    bool
}

// Unwrap lets http.ResponseController reach the connection.
func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *slowWriter) begin() {
	if !w.begun {
		w.begun = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.patience)) // a recorder in a test has none
	}
}

// WriteHeader begins the answer.
func (w *slowWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the answer, or goes on with it.
func (w *slowWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// patient bounds how long the client of an answer may take to read it.
func patient(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&slowWriter{ResponseWriter: w, patience: patience}, r)
		})
	}
}
