// Package walv0 reads, writes and imports what v0 of Chronik WAL left on disk: directories of
// record files, TOPIC/PARTITION/wal_A_B.log, in the layouts that these had over time.
//
//   - Scan reads a v0 data directory, whatever its layouts and quirks, and says what is in it and
//     what is wrong with it. Memory is bounded, whatever the size.
//   - Import makes a v1 log of one, Export a v0 directory of a v1 log. Both can be killed at any
//     time and run again, verify what they wrote, and never touch their source.
//   - Open opens a v1 log, or with CHRONIK_WAL_LEGACY_FORMAT=true a v0 directory, behind one API.
//
// The command wal-migrate is Import and Export; docs/migration-v1.md says how to use it.
//
// # V2 records in v1
//
// A V2 record is opaque data and, in the last variant, the range of offsets that it stands for. It
// becomes one v1 record at its base offset: no key, the data as its value, the time 1970-01-01, and
// the headers HeaderBase, HeaderLast and HeaderCount, in this order, as decimal numbers. The offsets up
// to the last one are a declared gap, also where nothing follows. Variants without offsets are
// numbered; their last offset is their own one, and their count 0, which stands for not known.
package walv0
