// Package embedded runs the portal's stores inside the process, on one directory.
//
// It keeps the contracts of the servers: Broker speaks Kafka's protocol, Views
// is a table of stamped cells like HBase, Documents are indices like
// Elasticsearch's, Files is a bucket of immutable files.
// What a call has acknowledged lies fsynced on the disk, so a killed process
// finds all of it again. The suites of infratest hold it to what the servers do.
package embedded
