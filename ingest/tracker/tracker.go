// Package tracker is the browser's side of the collector: one script, without
// dependencies, that a site needs one tag for.
//
//	<script src="https://portal.example/fernweh.js" data-write-key="..." async></script>
package tracker

import (
	_ "embed"
	"net/http"
	"strings"
	"time"
)

//go:embed fernweh.js
var script string

// ServeHTTP serves the script. Browsers keep it for an hour: that is how long a
// change of it takes to reach them.
func ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	http.ServeContent(w, r, "fernweh.js", time.Time{}, strings.NewReader(script))
}
