package wal_test

import (
	"context"
	"fmt"
	"log"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// An order and the stock that it takes are in the log together, or neither is.
func ExampleManager_Begin() {
	ctx := context.Background()
	m, err := wal.Open("/data", wal.WithBackend(sim.New(sim.Options{}))) // your program imports a backend for files
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	orders, err := m.Partition("orders", 0)
	if err != nil {
		log.Fatal(err)
	}
	stock, err := m.Partition("stock", 7)
	if err != nil {
		log.Fatal(err)
	}

	tx, err := m.Begin()
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Abort() // does nothing once it is committed
	if err := tx.Append(orders, wal.Record{Key: []byte("42"), Value: []byte("two teas")}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Append(stock, wal.Record{Key: []byte("tea"), Value: []byte("-2")}); err != nil {
		log.Fatal(err)
	}
	offsets, err := tx.Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("order at offset", offsets[0], "and stock at offset", offsets[1])
	// Output: order at offset 0 and stock at offset 0
}

// After an unknown outcome an append is repeated as it was.
func ExamplePartition_AppendOnce() {
	ctx := context.Background()
	m, err := wal.Open("/data", wal.WithBackend(sim.New(sim.Options{})))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	orders, err := m.Partition("orders", 0)
	if err != nil {
		log.Fatal(err)
	}
	const me = 4711 // the producer's id
	next, _ := orders.NextSequence(me)
	for range 2 {
		ack, err := orders.AppendOnce(ctx, me, next, wal.Record{Value: []byte("two teas")})
		if err != nil {
			log.Fatal(err)
		}
		if err := ack.Wait(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println("at offset", ack.Offset(), "a duplicate:", ack.Duplicate())
	}
	// Output:
	// at offset 0 a duplicate: false
	// at offset 0 a duplicate: true
}
