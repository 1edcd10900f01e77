package ingest

// Step drains one batch of the spool: what Run does again and again.
var Step = (*Collector).step
