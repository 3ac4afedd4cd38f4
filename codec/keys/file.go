// Package keys has key providers for encrypted logs: what wraps the data keys that a log makes for
// itself. docs/codecs.md tells what is authenticated, and how keys are changed.
package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	wal "github.com/chronik-go/wal/core"
)

// keySize is the size of a key, bytes.
const keySize = 32

// File is a key provider of keys in a file. It keeps no key, but ciphers that were made with them.
type File struct {
	path string
	keys []fileKey // the first one wraps
}

// fileKey is a key, and how it is told from others.
type fileKey struct {
	mark [printSize]byte
	aead cipher.AEAD
}

// printSize is how much of a key's fingerprint stands before what it wrapped, bytes.
const printSize = 8

var _ wal.KeyProvider = (*File)(nil)

// ReadFile reads a key file: keys of 32 bytes in hexadecimal digits, one a line. The first key
// wraps; the others are earlier ones, for what they wrapped. Empty lines, and those that begin with #, do not
// count. Errors are those of Read.
func ReadFile(path string) (*File, error) {
	text, err := readText(path, digitsHint)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseFile(path, text)
}

func parseFile(path string, text []byte) (*File, error) {
	f := &File{path: path}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, fileError(path, fmt.Errorf("line %d: %w", number, err), digitsHint)
		}
		f.keys = append(f.keys, key)
	}
	if len(f.keys) == 0 {
		return nil, fileError(path, errors.New("no key in it"), digitsHint)
	}
	return f, nil
}

// parseKey makes a key of its digits.
func parseKey(digits []byte) (fileKey, error) {
	var key [keySize]byte
	defer clear(key[:])
	if len(digits) != 2*keySize {
		return fileKey{}, fmt.Errorf("%d characters", len(digits))
	}
	if _, err := hex.Decode(key[:], digits); err != nil {
		return fileKey{}, errors.New("a character that is no hexadecimal digit") // the cause would say which one
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return fileKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fileKey{}, err
	}
	hash := sha256.New()
	hash.Write([]byte("chronik-wal key file fingerprint"))
	hash.Write(key[:])
	return fileKey{[printSize]byte(hash.Sum(nil)), aead}, nil
}

// String names the file.
func (f *File) String() string {
	if f == nil {
		return "no keys"
	}
	return "keys of " + f.path
}

// What Wrap makes is the key's fingerprint, a random nonce, ciphertext and tag of AES-256-GCM.

// Wrap implements wal.KeyProvider.
func (f *File) Wrap(secret []byte) ([]byte, error) {
	if f == nil || len(f.keys) == 0 {
		return nil, errors.New("no key: a File comes from ReadFile")
	}
	k := f.keys[0]
	return k.aead.Seal(k.mark[:], nil, secret, k.mark[:]), nil
}

// Unwrap implements wal.KeyProvider.
func (f *File) Unwrap(wrapped []byte) ([]byte, error) {
	if f == nil {
		return nil, errors.New("no key: a File comes from ReadFile")
	}
	if len(wrapped) < printSize {
		return nil, fmt.Errorf("%d bytes are no wrapped key", len(wrapped))
	}
	mark, sealed := wrapped[:printSize], wrapped[printSize:]
	for _, k := range f.keys {
		if k.mark != [printSize]byte(mark) {
			continue
		}
		secret, err := k.aead.Open(nil, nil, sealed, mark)
		if err != nil {
			return nil, fmt.Errorf("what key %x of %s wrapped was changed", mark, f.path)
		}
		return secret, nil
	}
	return nil, fmt.Errorf("no key of %s has fingerprint %x", f.path, mark)
}
