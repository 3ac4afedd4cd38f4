package format

import "fmt"

// MaxWrappedKey is the longest wrapped key that a segment can hold, bytes.
const MaxWrappedKey = 2048

// CodecSealed is the bit of a codec id that says that the data is encrypted, once it was
// compressed with what the other bits say.
const CodecSealed uint8 = 0x80

// The ciphers that the format knows.
const (
	// CipherAES is AES-256-GCM.
	CipherAES uint8 = 1 + iota
	// CipherChaCha is ChaCha20-Poly1305.
	CipherChaCha
)

// CipherName returns the name of a cipher that the format knows, "" of another one.
func CipherName(id uint8) string {
	switch id {
	case CipherAES:
		return "aes-256-gcm"
	case CipherChaCha:
		return "chacha20-poly1305"
	}
	return ""
}

// KeyID tells one data key of a log from another: random, made with the key.
type KeyID [8]byte

// Key is the data key of a segment's batches, as it stands in the log: wrapped, so that it is of
// use only to who can unwrap it.
type Key struct {
	// Cipher is what the key is for, never 0.
	Cipher uint8
	ID     KeyID
	// Log is the log that the key was made for; the wrapped secret says so too.
	Log LogID
	// Wrapped is the secret as a key provider wrapped it, 1 to MaxWrappedKey bytes.
	Wrapped []byte
}

// The layout of a key:
//
//	 0  cipher                1
//	 1  zero                  1
//	 2  size of the wrapped   2
//	 4  key id                8
//	12  log id               16
//	28  wrapped secret
const (
	keySize  = 2
	keyID    = 4
	keyLog   = 12
	keyFixed = 28
)

// AppendKey appends k to b.
func AppendKey(b []byte, k *Key) []byte {
	b = append(b, k.Cipher, 0)
	b = le.AppendUint16(b, uint16(len(k.Wrapped)))
	b = append(b, k.ID[:]...)
	b = append(b, k.Log[:]...)
	return append(b, k.Wrapped...)
}

// KeySize returns the size of k encoded, bytes; 0 for nil.
func KeySize(k *Key) int {
	if k == nil {
		return 0
	}
	return keyFixed + len(k.Wrapped)
}

// ReadKey reads the key at the start of b and returns what follows it. Its error wraps ErrCorrupt.
func ReadKey(b []byte) (k *Key, rest []byte, err error) {
	if len(b) < keyFixed {
		return nil, nil, fmt.Errorf("%w: key: %d bytes of %d", ErrCorrupt, len(b), keyFixed)
	}
	k = &Key{Cipher: b[0], ID: KeyID(b[keyID:]), Log: LogID(b[keyLog:])}
	n := int(le.Uint16(b[keySize:]))
	if b[1] != 0 || k.Cipher == 0 || k.ID == (KeyID{}) || k.Log == (LogID{}) || n == 0 || n > MaxWrappedKey || len(b) < keyFixed+n {
		return nil, nil, fmt.Errorf("%w: key for cipher %d of %d bytes, id %x", ErrCorrupt, k.Cipher, n, k.ID)
	}
	k.Wrapped = append([]byte(nil), b[keyFixed:keyFixed+n]...)
	return k, b[keyFixed+n:], nil
}

// SealOverhead is how much longer than what is sealed a sealed batch is, bytes: key id, counter,
// and the tag that both ciphers end with.
const SealOverhead = SealPrefix + 16

// SealPrefix is what stands before the ciphertext of a sealed batch, bytes.
const SealPrefix = 16

// Seal is what a sealed batch begins with:
//
//	 0  key id   8
//	 8  counter  8   with which the key has sealed this batch and no other
//	16  ciphertext and tag
type Seal struct {
	Key     KeyID
	Counter uint64
}

// PutSeal writes s to b, which has at least SealPrefix bytes.
func PutSeal(b []byte, s Seal) {
	copy(b, s.Key[:])
	le.PutUint64(b[len(s.Key):], s.Counter)
}

// ReadSeal reads what a sealed batch begins with. Its error wraps ErrCorrupt.
func ReadSeal(b []byte) (s Seal, err error) {
	if len(b) < SealOverhead {
		return s, fmt.Errorf("%w: sealed batch of %d bytes", ErrCorrupt, len(b))
	}
	return Seal{KeyID(b), le.Uint64(b[len(s.Key):])}, nil
}

// Nonce is the nonce that the batch was sealed with: the counter behind zeros.
func (s Seal) Nonce() (n [12]byte) {
	le.PutUint64(n[4:], s.Counter)
	return n
}

// AppendSealed appends what the tag of a sealed batch covers besides its data: all that says which
// records these are and where they belong.
//
//	 0  partition       4
//	 4  LSN             8
//	12  base offset     8
//	20  count           4
//	24  raw length      4
//	28  max timestamp   8
//	36  codec           1
//	37  topic
func AppendSealed(b []byte, e *Entry, lsn uint64, topic string, partition int32) []byte {
	b = le.AppendUint32(b, uint32(partition))
	b = le.AppendUint64(b, lsn)
	b = le.AppendUint64(b, uint64(e.Base))
	b = le.AppendUint32(b, uint32(e.Count))
	b = le.AppendUint32(b, uint32(e.RawLength))
	b = le.AppendUint64(b, uint64(e.MaxTimestamp))
	b = append(b, e.Codec)
	return append(b, topic...)
}
