// Package knownkey is the key provider of logs that tests encrypt.
package knownkey

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
)

// Provider wraps data keys with a key that everybody may know, or with another one that its value
// says: providers that differ cannot unwrap for each other.
type Provider byte

func (p Provider) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(bytes.Repeat([]byte{'k' + byte(p)}, 32))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Wrap encrypts a data key.
func (p Provider) Wrap(secret []byte) ([]byte, error) {
	aead, err := p.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, nil), nil
}

// Unwrap returns a data key that an equal provider wrapped.
func (p Provider) Unwrap(wrapped []byte) ([]byte, error) {
	aead, err := p.aead()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, wrapped, nil)
}
