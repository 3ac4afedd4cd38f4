package wal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"sync"

	"github.com/chronik-go/wal/core/format"
)

// KeyProvider wraps the data keys of a log. Each open for writing makes a data key of its own,
// which stands in the log as the provider wrapped it. The module codec/keys has providers.
//
// Its methods may be called concurrently. They keep none of the slices, and no error and no log
// line of theirs holds a key.
type KeyProvider interface {
	// Wrap encrypts and authenticates a secret of 56 bytes, to at most 2048.
	Wrap(secret []byte) (wrapped []byte, err error)
	// Unwrap returns what Wrap was given, at any time before, in memory that is the caller's. Its
	// error says that none of the provider's keys fits, or what went wrong.
	Unwrap(wrapped []byte) (secret []byte, err error)
}

// Cipher is what batches are sealed with. AES-256-GCM is built in; the module codec has another.
type Cipher interface {
	// ID is what segments on disk name the cipher by. Those from 1 to 31 are the format's.
	ID() uint8
	// Name is for people.
	Name() string
	// New returns the cipher with a key of 32 bytes. It has nonces of 12 bytes and a tag of 16
	// at the end, may be used concurrently, and works in place.
	New(key []byte) (cipher.AEAD, error)
}

// AES returns AES-256-GCM, the default Cipher.
func AES() Cipher { return aesGCM{} }

type aesGCM struct{}

func (aesGCM) ID() uint8    { return format.CipherAES }
func (aesGCM) Name() string { return format.CipherName(format.CipherAES) }

func (aesGCM) New(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

var (
	ciphersMu sync.RWMutex
	ciphers   = map[uint8]Cipher{format.CipherAES: aesGCM{}}
)

// RegisterCipher has all logs of this program read batches that a cipher sealed. A module calls it
// from an init function. It panics if the id is 0 or taken: that is a mistake in the build.
func RegisterCipher(c Cipher) {
	ciphersMu.Lock()
	defer ciphersMu.Unlock()
	if id := c.ID(); id == 0 || ciphers[id] != nil {
		panic(fmt.Sprintf("wal: RegisterCipher of %s: id %d is taken, or 0", c.Name(), id))
	}
	ciphers[c.ID()] = c
}

// cipherName is what people call the cipher of an id.
func cipherName(id uint8) string {
	ciphersMu.RLock()
	defer ciphersMu.RUnlock()
	if c := ciphers[id]; c != nil {
		return c.Name()
	}
	if name := format.CipherName(id); name != "" {
		return name
	}
	return fmt.Sprintf("cipher %d", id)
}

// keyCipher is the name of a key's cipher, "" for no key.
func keyCipher(k *format.Key) string {
	if k == nil {
		return ""
	}
	return cipherName(k.Cipher)
}

// cipherByID returns the cipher that a segment names.
func (c *config) cipherByID(id uint8) (Cipher, error) {
	if c.cipher != nil && c.cipher.ID() == id {
		return c.cipher, nil
	}
	ciphersMu.RLock()
	found := ciphers[id]
	ciphersMu.RUnlock()
	if found == nil {
		return nil, fmt.Errorf(`%w: %s is not part of this program: import _ "github.com/chronik-go/wal/codec"`, ErrKey, cipherName(id))
	}
	return found, nil
}

// A secret is what a provider wraps: a data key, and what it is for, so that the key of one log
// does not open another.
const (
	dataKeySize = 32
	secretSize  = dataKeySize + len(format.LogID{}) + len(format.KeyID{})
)

// newKey makes a data key for a log, and its form in the log.
func (c *config) newKey(log format.LogID) (*format.Key, cipher.AEAD, error) {
	how := c.cipher
	if how == nil {
		how = AES()
	}
	k := &format.Key{Cipher: how.ID(), Log: log}
	for k.ID == (format.KeyID{}) {
		_, _ = rand.Read(k.ID[:]) // never fails
	}
	secret := make([]byte, dataKeySize, secretSize)
	defer func() { clear(secret) }()
	_, _ = rand.Read(secret)
	secret = append(append(secret, log[:]...), k.ID[:]...)
	var err error
	if k.Wrapped, err = c.keys.Wrap(secret); err != nil {
		return nil, nil, fmt.Errorf("%w: wrap a data key: %w", ErrKey, err)
	}
	if n := len(k.Wrapped); n == 0 || n > format.MaxWrappedKey {
		return nil, nil, fmt.Errorf("%w: the key provider wrapped a data key in %d bytes, 1 to %d are possible", ErrKey, n, format.MaxWrappedKey)
	}
	aead, err := how.New(secret[:dataKeySize])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrKey, how.Name(), err)
	}
	return k, aead, nil
}

// keyring is the data keys that were unwrapped.
type keyring struct {
	mu   sync.Mutex
	open map[format.KeyID]cipher.AEAD
}

// aead returns the cipher with a segment's data key. Its error wraps ErrKey.
func (c *config) aead(log format.LogID, k *format.Key) (cipher.AEAD, error) {
	if c.keys == nil {
		return nil, fmt.Errorf("%w: the records are encrypted: open the log WithKeys", ErrKey)
	}
	c.ring.mu.Lock()
	defer c.ring.mu.Unlock()
	if aead := c.ring.open[k.ID]; aead != nil {
		return aead, nil
	}
	how, err := c.cipherByID(k.Cipher)
	if err != nil {
		return nil, err
	}
	secret, err := c.keys.Unwrap(k.Wrapped)
	defer clear(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: data key %x cannot be unwrapped: %w", ErrKey, k.ID, err)
	}
	meant := append(append(make([]byte, 0, secretSize), log[:]...), k.ID[:]...)
	if len(secret) != secretSize || subtle.ConstantTimeCompare(secret[dataKeySize:], meant) != 1 {
		return nil, fmt.Errorf("%w: data key %x was made for another log", ErrKey, k.ID)
	}
	aead, err := how.New(secret[:dataKeySize])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, how.Name(), err)
	}
	if c.ring.open == nil {
		c.ring.open = map[format.KeyID]cipher.AEAD{}
	}
	c.ring.open[k.ID] = aead
	return aead, nil
}

// checkKeys refuses to write to an encrypted log without a key for its newest segment: what is
// appended would be readable for others than the rest, or for nobody.
func (s *shard) checkKeys() error {
	list := s.segments.all()
	for i := len(list) - 1; i >= 0; i-- {
		if g := list[i]; g.Key != nil {
			if _, err := s.cfg.aead(g.Log, g.Key); err != nil {
				return fmt.Errorf("segment %s: %w", g.path, err)
			}
			return nil
		}
	}
	return nil
}
