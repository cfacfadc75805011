// Verifies an archive's log with the libraries of Go's checksum database, which know nothing of it:
//
//	foreign LOG_FOLDER PUBLIC_KEY [EARLIER_CHECKPOINT...]
//
// The checkpoint's signature, the inclusion of every entry, and that the log goes on from each earlier checkpoint.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A folder of https://c2sp.org/tlog-tiles; the checksum database has the same tiles under paths that name their height.
type tiles struct{ folder string }

func (tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.folder, strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// The entries of the log, out of their bundles of 256.
func entries(folder string, size int64) [][]byte {
	var found [][]byte
	for first := int64(0); first < size; first += 256 {
		bundle := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(min(256, size-first))}
		path := strings.Replace(bundle.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(folder, path))
		check(err)
		for len(data) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:end])
			data = data[end:]
		}
	}
	return found
}

// What a checkpoint with a good signature says.
func opened(path string, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	check(err)
	data, err := os.ReadFile(path)
	check(err)
	signed, err := note.Open(data, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(signed.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	folder, key := os.Args[1], os.Args[2]
	tree := opened(filepath.Join(folder, "checkpoint"), key)
	hashes := tlog.TileHashReader(tree, tiles{folder})
	all := entries(folder, tree.N)
	if int64(len(all)) != tree.N {
		log.Fatalf("%d entries in a tree of %d", len(all), tree.N)
	}
	for number, entry := range all {
		proof, err := tlog.ProveRecord(tree.N, int64(number), hashes)
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(number), tlog.RecordHash(entry)))
	}
	for _, path := range os.Args[3:] {
		older := opened(path, key)
		proof, err := tlog.ProveTree(tree.N, older.N, hashes)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
	}
	fmt.Printf("%d entries, %d earlier checkpoints\n", len(all), len(os.Args)-3)
}
