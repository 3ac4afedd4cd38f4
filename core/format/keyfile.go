package format

import "fmt"

// A key file holds a Key once more, outside the segments that have it: should they lose it, the
// batches in them are not lost too.
//
//	 0  magic "CHRNKKEY"   8
//	 8  version            2
//	10  zero               6
//	16  key
//	    CRC of the above   4
const (
	keyFileVersion = 8
	keyFileZero    = 10
	keyFileKey     = 16
)

var keyFileMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'K', 'E', 'Y'}

// MaxKeyFile is the largest size of a key file, bytes, but for zeros behind it.
const MaxKeyFile = keyFileKey + keyFixed + MaxWrappedKey + 4

// AppendKeyFile appends the key file of k to b.
func AppendKeyFile(b []byte, k *Key) []byte {
	start := len(b)
	b = append(b, keyFileMagic[:]...)
	b = le.AppendUint16(b, Version)
	b = append(b, make([]byte, keyFileKey-keyFileZero)...)
	b = AppendKey(b, k)
	return le.AppendUint32(b, CRC(b[start:]))
}

// ReadKeyFile reads the key file at the start of b. Its error wraps ErrCorrupt or ErrVersion.
func ReadKeyFile(b []byte) (*Key, error) {
	if len(b) < keyFileKey || [8]byte(b) != keyFileMagic {
		return nil, fmt.Errorf("%w: not a key file", ErrCorrupt)
	}
	if v := le.Uint16(b[keyFileVersion:]); v != Version {
		return nil, fmt.Errorf("%w %d of key file (this program knows %d)", ErrVersion, v, Version)
	}
	k, rest, err := ReadKey(b[keyFileKey:])
	if err != nil {
		return nil, err
	}
	end := len(b) - len(rest)
	if len(rest) < 4 || CRC(b[:end]) != le.Uint32(rest) || !allZero(b[keyFileZero:keyFileKey]) {
		return nil, fmt.Errorf("%w: key file: CRC", ErrCorrupt)
	}
	return k, nil
}
