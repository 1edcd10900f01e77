package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
)

// headBytes is the length of a record batch without its records.
const headBytes = 61

// maxBatchBytes is far above what the broker takes in one batch: a longer one is
// a length that was damaged.
const maxBatchBytes = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A batchHead is what the log is checked by of a record batch: Kafka's format,
// version 2, as the broker writes it to segments.
type batchHead struct {
	first, next int64 // offsets of its first record, and behind its last one
	size        int64 // bytes, head included
	records     int32
	epoch       int32
	firstTime   int64 // milliseconds
	maxTime     int64 // milliseconds
	inTx        bool  // of a transaction, or its mark
	control     bool
	print       uint64 // fingerprint of the head, which has the checksum of the rest
}

// errIncomplete says that the bytes end before the batch does.
var errIncomplete = errors.New("the batch is incomplete")

// parseHead reads the head of a batch, without a look at the records.
func parseHead(b []byte) (h batchHead, err error) {
	if len(b) < headBytes {
		return h, fmt.Errorf("%w: %d bytes", errIncomplete, len(b))
	}
	length := int32(binary.BigEndian.Uint32(b[8:]))
	attributes := binary.BigEndian.Uint16(b[21:])
	last := int32(binary.BigEndian.Uint32(b[23:]))
	h = batchHead{
		first:     int64(binary.BigEndian.Uint64(b)),
		size:      12 + int64(length),
		records:   int32(binary.BigEndian.Uint32(b[57:])),
		epoch:     int32(binary.BigEndian.Uint32(b[12:])),
		firstTime: int64(binary.BigEndian.Uint64(b[27:])),
		maxTime:   int64(binary.BigEndian.Uint64(b[35:])),
		inTx:      attributes&0x10 != 0,
		control:   attributes&0x20 != 0,
		print:     xxhash.Sum64(b[:headBytes]),
	}
	h.next = h.first + int64(last) + 1
	switch {
	case h.size < headBytes || h.size > maxBatchBytes:
		return h, fmt.Errorf("the batch has the impossible length %d", length)
	case b[16] != 2:
		return h, fmt.Errorf("the batch has the format %d, which should be 2", b[16])
	case h.first < 0 || last < 0 || h.next < h.first || h.records < 1 || int64(h.records) > h.next-h.first:
		return h, fmt.Errorf("the batch has the impossible offsets %d to below %d for %d records", h.first, h.next, h.records)
	}
	return h, nil
}

// parseBatch reads the batch that b begins with, and checks all of it.
func parseBatch(b []byte) (h batchHead, err error) {
	h, err = parseHead(b)
	if err != nil {
		return h, err
	}
	if h.size > int64(len(b)) {
		return h, fmt.Errorf("%w: %d of %d bytes", errIncomplete, len(b), h.size)
	}
	if want, got := binary.BigEndian.Uint32(b[17:]), crc32.Checksum(b[21:h.size], castagnoli); want != got {
		return h, fmt.Errorf("the batch has the checksum %08x, and its bytes have %08x", want, got)
	}
	return h, nil
}

// goodBehind counts whole batches with offsets from next on, wherever they begin in b.
func goodBehind(b []byte, next int64) (batches int, records int64) {
	const span = 1 << 40 // no segment holds more offsets
	for at := 0; at+headBytes <= len(b); {
		if b[at+16] != 2 || int64(binary.BigEndian.Uint64(b[at:])) < next || int64(binary.BigEndian.Uint64(b[at:])) > next+span {
			at++
			continue
		}
		h, err := parseBatch(b[at:])
		if err != nil {
			at++
			continue
		}
		batches++
		records += int64(h.records)
		next = h.next
		at += int(h.size)
	}
	return batches, records
}

// zeros says that there is nothing but zeros in b: what a file system leaves of
// bytes that a power loss kept from the disk.
func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
