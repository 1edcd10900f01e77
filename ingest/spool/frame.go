package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// A frame is a header and a payload:
//
//	magic "FWS1" · payload length u32 · time i64 µs · CRC32C u32 · payload
//
// all little-endian; the checksum covers length, time and payload.
const (
	frameMagic  = "FWS1"
	frameHeader = 4 + 4 + 8 + 4
)

// encodeRecords is the payload of a frame: of each record its kind, its length
// as a uvarint, its bytes.
func encodeRecords(records []Record) []byte {
	n := 0
	for _, r := range records {
		n += 1 + binary.MaxVarintLen32 + len(r.Data)
	}
	b := make([]byte, 0, n)
	for _, r := range records {
		b = append(b, r.Kind)
		b = binary.AppendUvarint(b, uint64(len(r.Data)))
		b = append(b, r.Data...)
	}
	return b
}

// sealFrame fills in the header of a frame whose payload stands behind it.
func sealFrame(frame []byte, at time.Time) {
	copy(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint64(frame[8:], uint64(at.UnixMicro()))
	binary.LittleEndian.PutUint32(frame[16:], checksum(frame))
}

// frameLength is how long a header says that its frame is.
func frameLength(header []byte) int64 {
	return frameHeader + int64(binary.LittleEndian.Uint32(header[4:]))
}

func checksum(frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(frame[4:16], table), table, frame[frameHeader:])
}

// A frame is one that has been read and found good.
type frame struct {
	records []Record
	at      time.Time
	size    int64 // with its header
}

// parseFrame reads the frame at the beginning of b, which may hold more. Its
// records share b's memory.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeader || string(b[:4]) != frameMagic {
		return frame{}, fmt.Errorf("no frame begins here: %w", ErrCorrupt)
	}
	size := frameLength(b)
	if size > int64(len(b)) {
		return frame{}, fmt.Errorf("frame of %d bytes ends behind the file: %w", size, ErrCorrupt)
	}
	b = b[:size]
	if checksum(b) != binary.LittleEndian.Uint32(b[16:]) {
		return frame{}, fmt.Errorf("checksum of the frame is wrong: %w", ErrCorrupt)
	}
	records, err := parseRecords(b[frameHeader:])
	at := time.UnixMicro(int64(binary.LittleEndian.Uint64(b[8:])))
	return frame{records: records, at: at, size: size}, err
}

func parseRecords(b []byte) (records []Record, err error) {
	for len(b) > 0 {
		n, width := binary.Uvarint(b[1:])
		if width <= 0 || n > uint64(len(b)-1-width) {
			return nil, fmt.Errorf("record is longer than its frame: %w", ErrCorrupt)
		}
		end := 1 + width + int(n)
		records = append(records, Record{Kind: b[0], Data: b[1+width : end : end]})
		b = b[end:]
	}
	return records, nil
}

// anyFrame says whether a good frame begins anywhere in b: then what stands
// before it is no torn end.
func anyFrame(b []byte) bool {
	for {
		i := bytes.Index(b, []byte(frameMagic))
		if i < 0 {
			return false
		}
		if _, err := parseFrame(b[i:]); err == nil {
			return true
		}
		b = b[i+1:]
	}
}
