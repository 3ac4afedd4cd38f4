// Package wal is an embeddable write-ahead log.
//
// Applications append records to many streams, each a (topic, partition), and get an
// offset back once the record is as durable as the [FsyncMode] promises. After any
// crash they get back what was acknowledged, in order.
//
// [Open] opens a data directory and returns a [Manager]; [Manager.Partition] returns
// the handle that the hot path appends through and that readers iterate over. All
// methods of both may be called concurrently.
//
// What is promised, by name and with the tests that check it, is in docs/durability.md;
// how the code is laid out in docs/architecture.md; the bytes in docs/format.md.
package wal
