// Package native runs a real Kafka, HBase and Elasticsearch from their Maven
// artifacts: a JDK and Maven on the machine, no container engine, no install.
//
// It is for development and tests. A server has one folder, which holds all that it
// writes, and ports of its own on 127.0.0.1, so several of a kind can
// run side by side. Start returns when the server really serves; what is stopped,
// killed or frozen is exactly the process that was started, known by its id and
// its start time; and a server that a test started does not outlive the test.
// Every jar is held against a committed checksum before it is run.
package native
