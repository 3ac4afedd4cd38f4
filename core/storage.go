package wal

import "slices"

// Storage is how a Manager with some options stores what is appended.
type Storage struct {
	// Cipher is the name of what WithKeys encrypts with, "" without WithKeys.
	Cipher string `json:"cipher"`
	// SealedOnly: records that are not encrypted are not read.
	SealedOnly bool `json:"sealed_only"`
	// Codec is the name of the codec, "" for none. TopicCodecs are those of topics that have another, as
	// TOPIC=NAME, sorted. Levels are not told.
	Codec       string   `json:"codec"`
	TopicCodecs []string `json:"topic_codecs"`
	// Checksum is the name of what guards batches.
	Checksum string `json:"checksum"`
}

// StorageOf returns how a Manager with these options stores what is appended; an error wraps ErrInvalid.
// It is for who keeps a layout of its own and has to refuse what that layout has no room for.
func StorageOf(opts ...Option) (Storage, error) {
	c, err := newConfig(opts)
	if err != nil {
		return Storage{}, err
	}
	s := Storage{SealedOnly: c.sealedOnly, Codec: nameOf(c.codec), Checksum: c.checksum.String()}
	switch {
	case c.cipher != nil:
		s.Cipher = c.cipher.Name()
	case c.keys != nil:
		s.Cipher = AES().Name()
	}
	for topic, codec := range c.topicCodecs {
		if name := nameOf(codec); name != s.Codec {
			s.TopicCodecs = append(s.TopicCodecs, topic+"="+name)
		}
	}
	slices.Sort(s.TopicCodecs)
	return s, nil
}

func nameOf(c Codec) string {
	if c == nil {
		return ""
	}
	return c.Name()
}
