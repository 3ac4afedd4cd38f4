package format

import "fmt"

// MaxTopic bounds the length of a topic's name, bytes.
const MaxTopic = 249

// Declaration is the data of a KindDeclare entry: which partition an id stands for,
// and which offsets it had at that point of the log.
type Declaration struct {
	Topic     string
	Partition int32
	// First is the lowest offset that was not truncated.
	First int64
	// Next is the offset that the next record gets.
	Next int64
	// Gap is how many offsets directly below Next have no record: a truncation cut into
	// a declared gap. GapLost says that they had, and a repair gave them up.
	Gap     int64
	GapLost bool
}

// The layout of a declaration:
//
//	 0  first offset    8
//	 8  next offset     8
//	16  gap below next  8
//	24  partition       4
//	28  flags           2   1: the gap was lost
//	30  size of topic   2
//	32  topic
const (
	decNext      = 8
	decGap       = 16
	decPartition = 24
	decFlags     = 28
	decTopic     = 30
	declareFixed = 32

	flagGapLost = 1
)

// DeclarationSize returns the size of d encoded, bytes.
func DeclarationSize(d Declaration) int { return declareFixed + len(d.Topic) }

// AppendDeclaration appends d to b.
func AppendDeclaration(b []byte, d Declaration) []byte {
	b = le.AppendUint64(b, uint64(d.First))
	b = le.AppendUint64(b, uint64(d.Next))
	b = le.AppendUint64(b, uint64(d.Gap))
	b = le.AppendUint32(b, uint32(d.Partition))
	flags := uint16(0)
	if d.GapLost {
		flags = flagGapLost
	}
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, uint16(len(d.Topic)))
	return append(b, d.Topic...)
}

// ReadDeclaration reads the declaration at the start of b and returns what follows it.
// Its error wraps ErrCorrupt or ErrVersion.
func ReadDeclaration(b []byte) (d Declaration, rest []byte, err error) {
	if len(b) < declareFixed {
		return d, nil, fmt.Errorf("%w: declaration: %d bytes of %d", ErrCorrupt, len(b), declareFixed)
	}
	n, flags := int(le.Uint16(b[decTopic:])), le.Uint16(b[decFlags:])
	if n == 0 || n > MaxTopic || len(b) < declareFixed+n {
		return d, nil, fmt.Errorf("%w: declaration: topic of %d bytes", ErrCorrupt, n)
	}
	d = Declaration{
		First:     int64(le.Uint64(b)),
		Next:      int64(le.Uint64(b[decNext:])),
		Gap:       int64(le.Uint64(b[decGap:])),
		GapLost:   flags&flagGapLost != 0,
		Partition: int32(le.Uint32(b[decPartition:])),
		Topic:     string(b[declareFixed : declareFixed+n]),
	}
	if flags&^flagGapLost != 0 {
		return d, nil, fmt.Errorf("%w: declaration of %s/%d: flags %#x", ErrVersion, d.Topic, d.Partition, flags)
	}
	if d.Gap < 0 || d.Gap > d.Next-d.First || d.GapLost && d.Gap == 0 {
		return d, nil, fmt.Errorf("%w: declaration of %s/%d: gap of %d below %d", ErrCorrupt, d.Topic, d.Partition, d.Gap, d.Next)
	}
	if d.First < 0 || d.Next < d.First || d.Partition < 0 {
		return d, nil, fmt.Errorf("%w: declaration of %s/%d: offsets %d to %d", ErrCorrupt, d.Topic, d.Partition, d.First, d.Next)
	}
	return d, b[declareFixed+n:], nil
}
