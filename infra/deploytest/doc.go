// Package deploytest checks what puts Fernweh on other machines, without a
// cluster, a container engine, or any network but that of the Go modules: the
// Helm chart by Helm's own engine and then by the code with which Kubernetes'
// API server refuses an object, the compose file by the loader of docker compose,
// the Dockerfile by BuildKit's own parser and rules, and the rules and settings
// of Prometheus by Prometheus. It is a module of its own, so that the program's
// go.mod carries none of them.
//
// What it cannot show (that a node has the memory, that a network plugin holds
// the policies, that an image starts) stands in docs/deployment.md.
package deploytest
