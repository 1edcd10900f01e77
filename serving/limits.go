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
