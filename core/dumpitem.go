package wal

import (
	"fmt"
	"strconv"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// DumpKind says what a DumpItem is about.
type DumpKind string

// The kinds of items. Entries of a frame have the name of their kind: data, declare,
// truncate-before, truncate-after, lost, producer.
const (
	DumpHeader  DumpKind = "header"  // a segment's header block
	DumpFrame   DumpKind = "frame"   // a group commit; its entries follow
	DumpData    DumpKind = "data"    // a batch; its records follow
	DumpDeclare DumpKind = "declare" // and the other control entries
	// DumpProducer: what the partition knows of a producer.
	DumpProducer DumpKind = "producer"
	DumpRecord   DumpKind = "record"
	DumpFooter   DumpKind = "footer" // that seals a segment; its partitions follow
	DumpIndexed  DumpKind = "partition"
	DumpMarker   DumpKind = "marker" // the close marker
	DumpBad      DumpKind = "bad"    // something is wrong; Error says what
	DumpRest     DumpKind = "rest"   // what is not part of the log: Note says what it is
)

// DumpItem is one thing as it lies on disk. Of the pointers, the one for its kind is set.
type DumpItem struct {
	// Segment is the file's name, relative to the data directory; Position and Length are
	// the item's bytes in it.
	Segment  string   `json:"segment"`
	Position int64    `json:"position"`
	Length   int64    `json:"length"`
	Kind     DumpKind `json:"kind"`
	// Error says what is wrong with it; empty if nothing is.
	Error string `json:"error,omitempty"`
	Note  string `json:"note,omitempty"`

	Header    *DumpHeaderInfo    `json:"header,omitempty"`
	Frame     *DumpFrameInfo     `json:"frame,omitempty"`
	Entry     *DumpEntryInfo     `json:"entry,omitempty"`
	Record    *DumpRecordInfo    `json:"record,omitempty"`
	Footer    *DumpFooterInfo    `json:"footer,omitempty"`
	Partition *DumpPartitionInfo `json:"partition,omitempty"`
	// End is where the close marker says that the log ends.
	End *DumpLink `json:"end,omitempty"`
	// Unsealed: the close marker says that not all segments could be sealed.
	Unsealed bool `json:"unsealed,omitempty"`
}

// Hex64 is a number that uses all its 64 bits. In JSON it is 16 hexadecimal digits in a
// string: many programs read numbers as floating-point ones.
type Hex64 uint64

func (h Hex64) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText implements encoding.TextMarshaler.
func (h Hex64) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex64) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*h = Hex64(n)
	return err
}

// DumpLink is where a segment ends.
type DumpLink struct {
	Segment uint64 `json:"segment"`
	End     int64  `json:"end"`
	LSN     uint64 `json:"lsn"`
	Chain   uint32 `json:"chain_crc"`
}

// DumpHeaderInfo is a segment's header.
type DumpHeaderInfo struct {
	Log         string    `json:"log"`
	Number      uint64    `json:"number"`
	Epoch       Hex64     `json:"epoch"`
	Checksum    string    `json:"checksum"`
	Alignment   int64     `json:"alignment"`
	FirstLSN    uint64    `json:"first_lsn"`
	Created     time.Time `json:"created"`
	Predecessor DumpLink  `json:"predecessor"`
	// Key is the segment's data key, nil if it is not encrypted.
	Key *DumpKey `json:"key,omitempty"`
}

// DumpKey is a segment's data key. What it is wrapped in is not shown.
type DumpKey struct {
	ID          string `json:"id"`
	Cipher      string `json:"cipher"`
	WrappedSize int    `json:"wrapped_size"`
}

func dumpKey(k *format.Key) *DumpKey {
	if k == nil {
		return nil
	}
	return &DumpKey{fmt.Sprintf("%x", k.ID), cipherName(k.Cipher), len(k.Wrapped)}
}

// DumpFrameInfo is a frame's header.
type DumpFrameInfo struct {
	Entries int    `json:"entries"`
	LSN     uint64 `json:"lsn"`
	Durable uint64 `json:"durable_lsn"`
	Epoch   Hex64  `json:"epoch"`
	Chain   uint32 `json:"chain_crc"`
	CRC     uint32 `json:"crc"`
}

// DumpEntryInfo is an entry of a frame's directory.
type DumpEntryInfo struct {
	PartitionID uint32 `json:"partition_id"`
	// Topic and Partition are what the segment declared the id to be; empty if it did not.
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// LSN is 0 in declarations and producer entries.
	LSN   uint64 `json:"lsn"`
	Base  int64  `json:"base"`
	Gap   int64  `json:"gap"`
	Count int    `json:"count"`
	Moved bool   `json:"moved"`
	// Transaction: the batch is of one transaction with the entry before it.
	Transaction  bool      `json:"transaction"`
	Codec        uint8     `json:"codec"`
	CodecName    string    `json:"codec_name"`
	Sealed       bool      `json:"sealed"`
	RawLength    int64     `json:"raw_length"`
	CRC          uint32    `json:"crc"`
	MaxTimestamp time.Time `json:"max_timestamp,omitzero"` // only of data
	// First is the partition's first offset in a declaration, else 0.
	First int64 `json:"first"`
	// Producer is whose sequence numbers a producer entry is about; Sequence is the first of
	// them, Base the offset of its record, Count how many they are. Else 0.
	Producer Hex64 `json:"producer"`
	Sequence int64 `json:"sequence"`
}

// DumpRecordInfo is a record. Key and Value are nil where there is none.
type DumpRecordInfo struct {
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	Offset    int64              `json:"offset"`
	Timestamp time.Time          `json:"timestamp"`
	Key       []byte             `json:"key"`
	Value     []byte             `json:"value"`
	Headers   []DumpRecordHeader `json:"headers"`
}

// DumpRecordHeader is a header of a record.
type DumpRecordHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// DumpFooterInfo is a segment's footer.
type DumpFooterInfo struct {
	BodyAt       int64     `json:"body_at"`
	Repaired     bool      `json:"repaired"`
	Frames       int64     `json:"frames"`
	Records      int64     `json:"records"`
	MaxTimestamp time.Time `json:"max_timestamp,omitzero"` // only if there are records
	XXH64        Hex64     `json:"xxh64"`
	Partitions   int       `json:"partitions"`
	End          DumpLink  `json:"end"`
}

// DumpPartitionInfo is a partition in a footer.
type DumpPartitionInfo struct {
	ID        uint32    `json:"id"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	First     int64     `json:"first"`
	Next      int64     `json:"next"`
	Runs      []DumpRun `json:"runs"`
	Index     int       `json:"index_entries"`
	// StoredBytes is what the partition's batches take, RawBytes what they would without a
	// codec, Codecs the names of those that they have.
	StoredBytes int64    `json:"stored_bytes"`
	RawBytes    int64    `json:"raw_bytes"`
	Codecs      []string `json:"codecs"`
}

// DumpRun is a run of a partition in a footer.
type DumpRun struct {
	Kind  string `json:"kind"`
	Moved bool   `json:"moved"`
	Base  int64  `json:"base"`
	End   int64  `json:"end"`
	Gap   int64  `json:"gap"`
	LSN   uint64 `json:"lsn"`
}

func dumpLink(l format.Link) DumpLink {
	return DumpLink{Segment: l.Segment, End: l.End, LSN: l.LSN, Chain: l.Chain}
}
