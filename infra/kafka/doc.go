// Package kafka is the log on Kafka's protocol: topics, a producer that loses
// nothing, and a consumer group that begins where its reader says.
//
// What holds it together: an append is acknowledged by all in-sync replicas and
// never doubled by a retry; a reader's own position, not the group's, says where
// a partition is read from; an offset that the log doesn't hold ends the reader
// instead of moving it. Any broker of the protocol does, a cluster or the one
// of package embedded.
package kafka
