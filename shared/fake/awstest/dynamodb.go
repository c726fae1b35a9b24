package awstest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Table describes a DynamoDB table.
type Table struct {
	Name    string
	Hash    Key
	Range   Key    // zero if there is none
	TTL     string // attribute of time to live; empty if off
	Indexes []Index
}

// Index describes a global secondary index, which projects all attributes.
type Index struct {
	Name  string
	Hash  Key
	Range Key // zero if there is none
}

// Key is a key attribute: its name and its type, "S", "N" or "B" ("S" if empty).
type Key struct{ Name, Type string }

const dynamodbErrors = "com.amazonaws.dynamodb.v20120810"

func validation(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, namespace: "com.amazon.coral.validate", code: "ValidationException", message: message}
}

func dynamodbError(code, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, namespace: dynamodbErrors, code: code, message: message}
}

// database is all tables of the account.
type database struct {
	opts  Options
	chaos *faults.Chaos

	mu     sync.Mutex
	tables map[string]*table
	tokens map[string]transaction // by client request token
}

// transaction is what was answered to a client request token; the token stays
// good for ten minutes.
type transaction struct {
	request [sha256.Size]byte
	at      time.Time
}

type table struct {
	Table
	created time.Time
	rows    map[string]item // by key
	past    map[string]past // by key: what stale reads may still see
}

// past is an item before its last change; nil if it did not exist.
type past struct {
	item  item
	until time.Time
}

func newDatabase(opts Options, m *faults.Chaos) *database {
	db := &database{opts: opts, chaos: m, tables: map[string]*table{}, tokens: map[string]transaction{}}
	for _, t := range opts.Tables {
		db.create(t)
	}
	return db
}

func (db *database) create(t Table) *table {
	typed := func(k *Key) {
		if k.Name != "" && k.Type == "" {
			k.Type = string(kindS)
		}
	}
	typed(&t.Hash)
	typed(&t.Range)
	t.Indexes = slices.Clone(t.Indexes)
	for i := range t.Indexes {
		typed(&t.Indexes[i].Hash)
		typed(&t.Indexes[i].Range)
	}
	made := &table{Table: t, created: db.opts.Now(), rows: map[string]item{}, past: map[string]past{}}
	db.tables[t.Name] = made
	return made
}

// table finds a table by name or ARN.
func (db *database) table(name string) (*table, error) {
	if name == "" {
		return nil, validation("The parameter 'TableName' is required but was not present in the request")
	}
	if _, after, isARN := strings.Cut(name, ":table/"); isARN {
		name = after
	}
	t := db.tables[name]
	if t == nil {
		return nil, dynamodbError("ResourceNotFoundException", "Requested resource not found")
	}
	return t, nil
}

// keys are the table's key attributes.
func (t *table) keys() []Key { return keysOf(t.Hash, t.Range) }

func keysOf(hash, rng Key) []Key {
	if rng.Name == "" {
		return []Key{hash}
	}
	return []Key{hash, rng}
}

// id is the identity of an item's key.
func (t *table) id(it item) string {
	id := ""
	for _, k := range t.keys() {
		id += it[k.Name].identity() + "\x00"
	}
	return id
}

// key is the key part of an item.
func (t *table) key(it item) item {
	key := item{}
	for _, k := range t.keys() {
		key[k.Name] = it[k.Name]
	}
	return key
}

// get is the item with that key, nil if there is none. A stale read may see the
// past for a while.
func (db *database) get(t *table, key item, consistent bool) item {
	id := t.id(key)
	if p, ok := t.past[id]; ok && !consistent && db.opts.Now().Before(p.until) && db.chaos.OneIn(2) {
		return p.item
	}
	return t.rows[id]
}

// put makes it the item with that key; nil deletes.
func (db *database) put(t *table, key, it item) {
	id := t.id(key)
	if !db.chaos.Off {
		now := db.opts.Now()
		maps.DeleteFunc(t.past, func(_ string, p past) bool { return !now.Before(p.until) })
		t.past[id] = past{t.rows[id], now.Add(staleness)}
	}
	if it == nil {
		delete(t.rows, id)
		return
	}
	t.rows[id] = it
}

// checkKey refuses a Key parameter that is not exactly the table's key.
func (t *table) checkKey(key item) error {
	if len(key) != len(t.keys()) {
		return validation("The provided key element does not match the schema")
	}
	for _, k := range t.keys() {
		if v, ok := key[k.Name]; !ok || string(v.kind) != k.Type {
			return validation("The provided key element does not match the schema")
		}
	}
	return t.checkKeyValues(key)
}

// Lengths of key values in bytes.
const (
	maxHash  = 2048
	maxRange = 1024
)

func (t *table) checkKeyValues(it item) error {
	for i, k := range t.keys() {
		v := it[k.Name]
		if err := emptyKey(v, k, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: "+k.Name); err != nil {
			return err
		}
		switch {
		case i == 0 && len(v.text) > maxHash:
			return validation("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of 2048 bytes")
		case i == 1 && len(v.text) > maxRange:
			return validation("One or more parameter values were invalid: Size of rangekey has exceeded the maximum size limit of 1024 bytes")
		}
	}
	return nil
}

func emptyKey(v value, k Key, format string) error {
	if k.Type == string(kindN) || v.text != "" {
		return nil
	}
	name := "string"
	if k.Type == string(kindB) {
		name = "binary"
	}
	return validation(fmt.Sprintf(format, name))
}

// maxItem is the size of an item with names and values.
const maxItem = 400 << 10

// checkItem refuses an item the table cannot hold.
func (t *table) checkItem(it item, tooLarge string) error {
	for _, k := range t.keys() {
		v, ok := it[k.Name]
		if !ok {
			return validation("One or more parameter values were invalid: Missing the key " + k.Name + " in the item")
		}
		if string(v.kind) != k.Type {
			return validation(fmt.Sprintf("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", k.Name, k.Type, v.kind))
		}
	}
	if err := t.checkKeyValues(it); err != nil {
		return err
	}
	for _, x := range t.Indexes {
		for _, k := range keysOf(x.Hash, x.Range) {
			v, ok := it[k.Name]
			if !ok {
				continue // the index leaves the item out
			}
			if string(v.kind) != k.Type {
				return validation(fmt.Sprintf("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", k.Name, k.Type, v.kind, x.Name))
			}
			if err := emptyKey(v, k, "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: "+x.Name+", IndexKey: "+k.Name); err != nil {
				return err
			}
		}
	}
	if it.size() > maxItem {
		return validation(tooLarge)
	}
	return nil
}

func (s *Server) dynamodbOperations(ops map[string]operation) {
	for name, f := range map[string]operation{
		"CreateTable":        onTables(s, (*database).createTable),
		"DescribeTable":      onTables(s, (*database).describeTable),
		"DescribeTimeToLive": onTables(s, (*database).describeTimeToLive),
		"PutItem":            onTables(s, (*database).putItem),
		"UpdateItem":         onTables(s, (*database).updateItem),
		"DeleteItem":         onTables(s, (*database).deleteItem),
		"TransactWriteItems": onTables(s, (*database).transactWriteItems),
		"GetItem":            onTables(s, (*database).getItem),
		"Query":              onTables(s, (*database).query),
		"Scan":               onTables(s, (*database).scan),
	} {
		ops["dynamodb."+name] = f
	}
}

// onTables runs an operation while nothing else touches the tables.
func onTables[In any](s *Server, f func(*database, *In) (any, error)) operation {
	return op(func(_ context.Context, in *In) (any, error) {
		db, _, _ := s.state()
		db.mu.Lock()
		defer db.mu.Unlock()
		return f(db, in)
	})
}

type (
	keyElement struct{ AttributeName, KeyType string }
	attribute  struct{ AttributeName, AttributeType string }
	projection struct{ ProjectionType string }
	indexInput struct {
		IndexName  string
		KeySchema  []keyElement
		Projection projection
	}
	createTableInput struct {
		TableName              string
		AttributeDefinitions   []attribute
		KeySchema              []keyElement
		GlobalSecondaryIndexes []indexInput
		BillingMode            string // without effect here
	}
	tableInput struct{ TableName string }
)

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// schema reads a key schema; used collects the attributes it needs.
func schema(elements []keyElement, types map[string]string, used map[string]bool) (hash, rng Key, err error) {
	for i, e := range elements {
		k := Key{e.AttributeName, types[e.AttributeName]}
		used[k.Name] = true
		switch {
		case k.Type == "":
			return hash, rng, validation("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [" + k.Name + "], AttributeDefinitions: " + fmt.Sprint(slices.Sorted(maps.Keys(types))))
		case i == 0 && e.KeyType == "HASH":
			hash = k
		case i == 1 && e.KeyType == "RANGE" && k.Name != hash.Name:
			rng = k
		default:
			return hash, rng, validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type, or the second is not a RANGE key type")
		}
	}
	if hash.Name == "" {
		err = validation("1 validation error detected: Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	return hash, rng, err
}

func (db *database) createTable(in *createTableInput) (any, error) {
	if !tableName.MatchString(in.TableName) {
		return nil, validation(`1 validation error detected: Value '` + in.TableName + `' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+`)
	}
	if db.tables[in.TableName] != nil {
		return nil, dynamodbError("ResourceInUseException", "Table already exists: "+in.TableName)
	}
	types, used := map[string]string{}, map[string]bool{}
	for _, a := range in.AttributeDefinitions {
		types[a.AttributeName] = a.AttributeType
	}
	t := Table{Name: in.TableName}
	var err error
	if t.Hash, t.Range, err = schema(in.KeySchema, types, used); err != nil {
		return nil, err
	}
	for _, x := range in.GlobalSecondaryIndexes {
		index := Index{Name: x.IndexName}
		if index.Hash, index.Range, err = schema(x.KeySchema, types, used); err != nil {
			return nil, err
		}
		if x.Projection.ProjectionType != "ALL" {
			return nil, notImplemented("ProjectionType " + x.Projection.ProjectionType)
		}
		t.Indexes = append(t.Indexes, index)
	}
	if len(used) != len(types) {
		return nil, validation("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return map[string]any{"TableDescription": db.describe(db.create(t))}, nil
}

func keySchema(hash, rng Key) []keyElement {
	elements := []keyElement{{hash.Name, "HASH"}}
	if rng.Name != "" {
		elements = append(elements, keyElement{rng.Name, "RANGE"})
	}
	return elements
}

func (db *database) describe(t *table) map[string]any {
	arn := fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", db.opts.Region, db.opts.Account, t.Name)
	types := map[string]string{}
	indexes := []map[string]any{}
	note := func(ks []Key) {
		for _, k := range ks {
			types[k.Name] = k.Type
		}
	}
	note(t.keys())
	for _, x := range t.Indexes {
		note(keysOf(x.Hash, x.Range))
		indexes = append(indexes, map[string]any{
			"IndexName": x.Name, "IndexArn": arn + "/index/" + x.Name, "IndexStatus": "ACTIVE",
			"KeySchema": keySchema(x.Hash, x.Range), "Projection": projection{"ALL"},
		})
	}
	var attributes []attribute
	for _, name := range slices.Sorted(maps.Keys(types)) {
		attributes = append(attributes, attribute{name, types[name]})
	}
	return map[string]any{
		"TableName": t.Name, "TableArn": arn, "TableStatus": "ACTIVE", "CreationDateTime": epoch(t.created),
		"KeySchema": keySchema(t.Hash, t.Range), "ItemCount": len(t.rows), "AttributeDefinitions": attributes, "GlobalSecondaryIndexes": indexes,
		"BillingModeSummary": map[string]any{"BillingMode": "PAY_PER_REQUEST"},
	}
}

func (db *database) describeTable(in *tableInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, dynamodbError("ResourceNotFoundException", "Requested resource not found: Table: "+in.TableName+" not found")
	}
	return map[string]any{"Table": db.describe(t)}, nil
}

func (db *database) describeTimeToLive(in *tableInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	d := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.TTL != "" {
		d = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.TTL}
	}
	return map[string]any{"TimeToLiveDescription": d}, nil
}

// epoch is how AWS JSON writes a time: seconds, with a fraction.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
