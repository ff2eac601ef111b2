// Checks what Muniment gives out of a log, with Go's own checksum database code and none of
// Muniment's: golang.org/x/mod/sumdb/note for signatures, .../tlog for the tree.
//
//	check KEY checkpoint FILE...         a signed note that is a checkpoint
//	check KEY inclusion FILE...          a C2SP tlog-proof whose extra line is the entry
//	check KEY consistency OLD FILE...    "old SIZE", hashes, and the newer checkpoint
//	check KEY cosigned WITNESS FILE...   a checkpoint that the witness with that key cosigned
//	check KEY tiles DIR...               a C2SP tlog-tiles directory: every entry, every tile
//
// KEY is a file with a verifier key line.  Prints "ok" or "refused: WHY" for each FILE.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var witness note.Verifier

var strict = base64.StdEncoding.Strict()

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("usage: check KEY KIND FILE..."))
	}
	line, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	key, err := note.NewVerifier(strings.TrimSpace(string(line)))
	if err != nil {
		fail(err)
	}
	kind, files := os.Args[2], os.Args[3:]
	var old tlog.Tree
	if kind == "consistency" {
		text, err := os.ReadFile(files[0])
		if err != nil {
			fail(err)
		}
		if old, err = checkpoint(key, text); err != nil {
			fail(err)
		}
		files = files[1:]
	}
	if kind == "cosigned" {
		if witness, err = cosigner(files[0]); err != nil {
			fail(err)
		}
		files = files[1:]
	}
	for _, file := range files {
		if err := check(key, kind, old, file); err != nil {
			fmt.Printf("refused: %v\n", err)
		} else {
			fmt.Println("ok")
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func check(key note.Verifier, kind string, old tlog.Tree, file string) error {
	if kind == "tiles" {
		return tiles(key, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	switch kind {
	case "checkpoint":
		_, err := checkpoint(key, text)
		return err
	case "cosigned":
		return cosigned(key, text)
	case "inclusion":
		return inclusion(key, string(text))
	case "consistency":
		return consistency(key, old, string(text))
	}
	return fmt.Errorf("no such kind: %s", kind)
}

func checkpoint(key note.Verifier, text []byte) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != key.Name() || lines[3] != "" {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := number(lines[1])
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := hash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// cosigned asks for both signatures: Open refuses a note if a known key's line does not verify.
func cosigned(key note.Verifier, text []byte) error {
	if _, err := checkpoint(key, text); err != nil {
		return err
	}
	opened, err := note.Open(text, note.VerifierList(key, witness))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != 2 {
		return errors.New("not signed by both")
	}
	return nil
}

// A witness's cosignature/v1, as c2sp.org/tlog-cosignature has it: the time is in the signature.
type cosignatureV1 struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (one cosignatureV1) Name() string    { return one.name }
func (one cosignatureV1) KeyHash() uint32 { return one.hash }

func (one cosignatureV1) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	said := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(one.key, []byte(said), sig[8:])
}

func cosigner(file string) (note.Verifier, error) {
	line, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(strings.TrimSpace(string(line)), "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("not a verifier key")
	}
	key, err := strict.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, errors.New("not the key of a cosignature/v1")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if hex.EncodeToString(sum[:4]) != parts[1] {
		return nil, errors.New("the id is not that of the key")
	}
	return cosignatureV1{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func inclusion(key note.Verifier, text string) error {
	lines, tree, err := proof(key, text)
	if err != nil {
		return err
	}
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" ||
		!strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("not a tlog-proof with an extra line")
	}
	entry, err := strict.DecodeString(lines[1][len("extra "):])
	if err != nil {
		return err
	}
	index, err := number(lines[2][len("index "):])
	if err != nil {
		return err
	}
	path, err := hashes(lines[3:])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func consistency(key note.Verifier, old tlog.Tree, text string) error {
	lines, tree, err := proof(key, text)
	if err != nil {
		return err
	}
	if lines[0] != fmt.Sprintf("old %d", old.N) {
		return errors.New("the proof is about another old checkpoint")
	}
	path, err := hashes(lines[1:])
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, tree.N, tree.Hash, old.N, old.Hash)
}

// proof splits the lines before the empty line from the checkpoint after it.
func proof(key note.Verifier, text string) ([]string, tlog.Tree, error) {
	head, signed, found := strings.Cut(text, "\n\n")
	if !found {
		return nil, tlog.Tree{}, errors.New("no checkpoint")
	}
	tree, err := checkpoint(key, []byte(signed))
	return strings.Split(head, "\n"), tree, err
}

// tiles holds every entry to its hash, and every hash to the signed root.
func tiles(key note.Verifier, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := checkpoint(key, text)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, directory(dir))
	for start := int64(0); start < tree.N; start += 1 << height {
		width := tree.N - start
		if width > 1<<height {
			width = 1 << height
		}
		entries, err := bundle(dir, start>>height, int(width))
		if err != nil {
			return err
		}
		indexes := make([]int64, width)
		for at := range indexes {
			indexes[at] = tlog.StoredHashIndex(0, start+int64(at))
		}
		found, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for at, entry := range entries {
			if tlog.RecordHash(entry) != found[at] {
				return fmt.Errorf("entry %d is not what the tree has", start+int64(at))
			}
		}
	}
	for _, index := range []int64{0, tree.N / 2, tree.N - 1} {
		if err := proveAndCheck(reader, tree, index); err != nil {
			return err
		}
	}
	return nil
}

func proveAndCheck(reader tlog.HashReader, tree tlog.Tree, index int64) error {
	found, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return err
	}
	path, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, found[0])
}

// A directory of tiles as C2SP lays them out: as Go does, but for the height in the path.
type directory string

func (dir directory) Height() int { return height }

func (dir directory) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		read, err := os.ReadFile(filepath.Join(string(dir), path))
		if err != nil {
			return nil, err
		}
		if len(read) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", path, len(read))
		}
		all = append(all, read)
	}
	return all, nil
}

func (dir directory) SaveTiles([]tlog.Tile, [][]byte) {}

func bundle(dir string, index int64, width int) ([][]byte, error) {
	path := tlog.Tile{H: height, L: 0, N: index, W: width}.Path()
	path = strings.Replace(path, fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
	read, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(read) >= 2 {
		size := int(binary.BigEndian.Uint16(read))
		if len(read) < 2+size {
			break
		}
		entries = append(entries, read[2:2+size])
		read = read[2+size:]
	}
	if len(read) != 0 || len(entries) != width {
		return nil, fmt.Errorf("%s is no bundle of %d entries", path, width)
	}
	return entries, nil
}

func number(text string) (int64, error) {
	read, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (read < 0 || strconv.FormatInt(read, 10) != text) {
		err = errors.New("a number is not canonical")
	}
	return read, err
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range lines {
		read, err := hash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, read)
	}
	return found, nil
}

func hash(text string) (tlog.Hash, error) {
	var found tlog.Hash
	read, err := strict.DecodeString(text)
	if err != nil {
		return found, err
	}
	if len(read) != tlog.HashSize {
		return found, errors.New("a hash has not 32 bytes")
	}
	copy(found[:], read)
	return found, nil
}
