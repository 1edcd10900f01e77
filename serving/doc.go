// Package serving answers: the merged truth of batch and speed over HTTP.
//
// Whoever asks gets b:<g> of the published generation g merged with every
// s:<e>, e >= g, which is the fold of a prefix of the log; the answer names the
// generation, the epochs and the offset that the prefix ends at. What is
// published and how far speed is are read before the row, never after it, so
// that an answer may hold more than it names but never less. The package reads
// the view store and writes nothing into it.
package serving
