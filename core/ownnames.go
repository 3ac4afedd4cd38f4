package wal

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/chronik-go/wal/core/format"
)

// A data directory may hold files of other programs or of its user, a key file say. The log takes away
// only what has a name that the log gives.

// parseKeyFileName returns the id of the key that a file of that name is for.
func parseKeyFileName(name string) (id format.KeyID, ok bool) {
	digits, ok := strings.CutSuffix(name, keySuffix)
	if !ok || len(digits) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil && keyFileName(id) == name
}

// isTemporary reports whether a name is one of those that the log gives to what is not whole yet, or
// no more in use.
func isTemporary(name string) bool {
	final, ok := strings.CutSuffix(name, tempSuffix)
	if !ok {
		return false
	}
	for _, prefix := range []string{preparePrefix, recyclePrefix} {
		if digits, ok := strings.CutPrefix(final, prefix); ok {
			_, err := strconv.ParseUint(digits, 10, 64)
			return err == nil
		}
	}
	if rebuilt, ok := strings.CutPrefix(final, repairPrefix); ok {
		_, ok = parseSegmentName(rebuilt)
		return ok
	}
	return final == probeName || isFinal(final)
}

// isFinal reports whether a name is one of those that the log gives to what is whole.
func isFinal(name string) bool {
	_, segment := parseSegmentName(name)
	_, key := parseKeyFileName(name)
	_, dictionary := parseDictionaryName(name)
	log, member := strings.CutSuffix(name, memberSuffix)
	if member {
		_, _, member = parseLogName(log)
	}
	return segment || key || dictionary || member || name == ownMember || name == markerName
}
