package format

import "fmt"

// MaxDictionary is the longest dictionary, bytes.
const MaxDictionary = 112 << 10

// Dictionary is what batches of a topic were compressed with, as it stands in a file of its own:
//
//	 0  magic "CHRNKDCT"   8
//	 8  version            2
//	10  codec              1
//	11  zero               1
//	12  id                 4
//	16  number             8
//	24  raw length         4
//	28  length             4
//	32  topic size         2
//	34  zero               2
//	36  topic
//	    key, if the codec has CodecSealed
//	    data
//	    CRC of the above   4
type Dictionary struct {
	// Codec is that of the batches compressed with it; with CodecSealed the data is encrypted.
	Codec uint8
	// ID is what those batches name it by, never 0; the codec makes it out of what it holds.
	ID uint32
	// Number counts the dictionaries of a topic, from 1; the highest is in use.
	Number uint64
	Topic  string
	// RawLength is the length of the dictionary, bytes, 1 to MaxDictionary.
	RawLength int
	// Key is the data key that the data is sealed with, nil if it is not.
	Key *Key
	// Data is the dictionary as stored.
	Data []byte
}

const (
	dictVersion = 8
	dictCodec   = 10
	dictZero1   = 11
	dictID      = 12
	dictNumber  = 16
	dictRaw     = 24
	dictLength  = 28
	dictTopic   = 32
	dictZero2   = 34
	dictFixed   = 36
)

var dictionaryMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'D', 'C', 'T'}

// MaxDictionaryFile is the largest size of a dictionary's file, bytes, but for zeros behind it.
const MaxDictionaryFile = dictFixed + MaxTopic + keyFixed + MaxWrappedKey + MaxDictionary + SealOverhead + 4

// AppendDictionary appends the file of d to b.
func AppendDictionary(b []byte, d *Dictionary) []byte {
	start := len(b)
	b = append(b, dictionaryMagic[:]...)
	b = le.AppendUint16(b, Version)
	b = append(b, d.Codec, 0)
	b = le.AppendUint32(b, d.ID)
	b = le.AppendUint64(b, d.Number)
	b = le.AppendUint32(b, uint32(d.RawLength))
	b = le.AppendUint32(b, uint32(len(d.Data)))
	b = le.AppendUint16(b, uint16(len(d.Topic)))
	b = append(b, 0, 0)
	b = append(b, d.Topic...)
	if d.Key != nil {
		b = AppendKey(b, d.Key)
	}
	b = append(b, d.Data...)
	return le.AppendUint32(b, CRC(b[start:]))
}

// ReadDictionary reads the dictionary's file at the start of b, and keeps parts of b. Its error wraps
// ErrCorrupt or ErrVersion.
func ReadDictionary(b []byte) (*Dictionary, error) {
	if len(b) < dictFixed || [8]byte(b) != dictionaryMagic {
		return nil, fmt.Errorf("%w: not a dictionary file", ErrCorrupt)
	}
	if v := le.Uint16(b[dictVersion:]); v != Version {
		return nil, fmt.Errorf("%w %d of dictionary file (this program knows %d)", ErrVersion, v, Version)
	}
	d := &Dictionary{
		Codec: b[dictCodec], ID: le.Uint32(b[dictID:]), Number: le.Uint64(b[dictNumber:]),
		RawLength: int(le.Uint32(b[dictRaw:])),
	}
	topic, n := int(le.Uint16(b[dictTopic:])), int64(le.Uint32(b[dictLength:]))
	rest := b[dictFixed:]
	if topic > len(rest) {
		return nil, fmt.Errorf("%w: dictionary file: it ends early", ErrCorrupt)
	}
	d.Topic, rest = string(rest[:topic]), rest[topic:]
	if d.Codec&CodecSealed != 0 {
		var err error
		if d.Key, rest, err = ReadKey(rest); err != nil {
			return nil, fmt.Errorf("dictionary file: %w", err)
		}
	}
	if int64(len(rest)) < n+4 {
		return nil, fmt.Errorf("%w: dictionary file: it ends early", ErrCorrupt)
	}
	d.Data = rest[:n:n]
	end := len(b) - len(rest) + int(n)
	if CRC(b[:end]) != le.Uint32(b[end:]) {
		return nil, fmt.Errorf("%w: dictionary file: CRC", ErrCorrupt)
	}
	if b[dictZero1] != 0 || !allZero(b[dictZero2:dictFixed]) {
		return nil, fmt.Errorf("%w of dictionary file: fields that this program does not know", ErrVersion)
	}
	return d, d.check()
}

// check checks that the fields can be what somebody wrote.
func (d *Dictionary) check() error {
	length := d.RawLength
	if d.Key != nil {
		length += SealOverhead
	}
	if d.Codec&^CodecSealed == CodecNone || d.ID == 0 || d.Number == 0 || d.Topic == "" || len(d.Topic) > MaxTopic ||
		d.RawLength < 1 || d.RawLength > MaxDictionary || len(d.Data) != length {
		return fmt.Errorf("%w: dictionary file: dictionary %08x, number %d, codec %d, %d bytes in %d, topic of %d",
			ErrCorrupt, d.ID, d.Number, d.Codec, d.RawLength, len(d.Data), len(d.Topic))
	}
	return nil
}

// Entry is what the tag of a sealed dictionary covers, besides its topic, in the way of a batch that
// has partition and LSN 0: there is none.
func (d *Dictionary) Entry() Entry {
	return Entry{
		Kind: KindData, Codec: d.Codec, Base: int64(d.Number), Count: int(d.ID),
		RawLength: int64(d.RawLength), Length: int64(len(d.Data)),
	}
}
