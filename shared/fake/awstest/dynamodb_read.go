package awstest

import (
	"crypto/md5" //nolint:gosec // spreads hash keys, secures nothing
	"fmt"
	"slices"
)

func (db *database) getItem(in *struct {
	TableName      string
	Key            item
	ConsistentRead bool
},
) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(in.Key); err != nil {
		return nil, err
	}
	out := map[string]any{}
	if it := db.get(t, in.Key, in.ConsistentRead); it != nil {
		out["Item"] = it
	}
	return out, nil
}

type readInput struct {
	TableName                 string
	IndexName                 *string
	ConsistentRead            bool
	KeyConditionExpression    *string
	ProjectionExpression      *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
	ScanIndexForward          *bool
	Limit                     *int
	ExclusiveStartKey         item
	Select                    string
}

// view is what a Query or Scan looks at: the table, or one of its indexes.
type view struct {
	table *table
	index bool
	hash  Key
	rng   Key
}

func (db *database) view(in *readInput) (*view, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if in.IndexName == nil {
		return &view{table: t, hash: t.Hash, rng: t.Range}, nil
	}
	i := slices.IndexFunc(t.Indexes, func(x Index) bool { return x.Name == *in.IndexName })
	if i < 0 {
		return nil, validation("The table does not have the specified index: " + *in.IndexName)
	}
	if in.ConsistentRead {
		return nil, validation("Consistent reads are not supported on global secondary indexes")
	}
	return &view{table: t, index: true, hash: t.Indexes[i].Hash, rng: t.Indexes[i].Range}, nil
}

// keys are the attributes that say where in the view an item is.
func (v *view) keys() []Key {
	ks := v.table.keys()
	for _, k := range keysOf(v.hash, v.rng) {
		if !slices.Contains(ks, k) {
			ks = append(ks, k)
		}
	}
	return ks
}

// order sorts items as the view does: by partition (in no useful order), then by
// the view's range key, then by the table's keys.
func (v *view) order(a, b item) int {
	if x, y := spread(a[v.hash.Name]), spread(b[v.hash.Name]); x != y {
		return slices.Compare(x[:], y[:])
	}
	for _, k := range []Key{v.rng, v.table.Hash, v.table.Range} {
		if n, _ := a[k.Name].compare(b[k.Name]); k.Name != "" && n != 0 {
			return n
		}
	}
	return 0
}

func spread(v value) [md5.Size]byte { return md5.Sum([]byte(v.identity())) } //nolint:gosec // see the import

// items are the items in the view, in order, of one partition or (hash nil) all.
// Unless the read is consistent, some may be as they were.
func (db *database) items(v *view, hash *value, consistent bool) []item {
	t, now := v.table, db.opts.Now()
	var found []item
	add := func(it item) {
		for _, k := range keysOf(v.hash, v.rng) {
			if _, ok := it[k.Name]; !ok {
				return
			}
		}
		if hash == nil || it[v.hash.Name].equal(*hash) {
			found = append(found, it)
		}
	}
	for id, it := range t.rows {
		if p, ok := t.past[id]; ok && !consistent && now.Before(p.until) && db.chaos.OneIn(2) {
			it = p.item
		}
		add(it)
	}
	for id, p := range t.past { // deleted a moment ago
		if t.rows[id] == nil && !consistent && now.Before(p.until) && db.chaos.OneIn(2) {
			add(p.item)
		}
	}
	slices.SortFunc(found, v.order)
	return found
}

// keyCondition is what a KeyConditionExpression asks: one partition, and a part
// of it.
type keyCondition struct {
	hash value
	rng  condition // nil for all of it
}

func (v *view) keyCondition(c condition) (keyCondition, error) {
	parts := []condition{c}
	if b, ok := c.(both); ok {
		parts = []condition{b.a, b.b}
	}
	var kc keyCondition
	seen := map[string]bool{}
	for _, part := range parts {
		p, ok := part.(test)
		switch {
		case !ok:
			return kc, validation("Query key condition not supported")
		case p.op == "<>" || p.value.kind == "":
			return kc, validation("Invalid operator used in KeyConditionExpression: " + p.op)
		case seen[p.name]:
			return kc, validation("KeyConditionExpressions must only contain one condition per key")
		}
		seen[p.name] = true
		key := v.hash
		switch {
		case p.name == v.hash.Name && p.op == "=":
			kc.hash = p.value
		case p.name == v.hash.Name:
			return kc, validation("Query key condition not supported")
		case p.name == v.rng.Name && v.rng.Name != "":
			key, kc.rng = v.rng, p
		default:
			return kc, validation("Query condition missed key schema element: " + p.name)
		}
		if string(p.value.kind) != key.Type {
			return kc, validation("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if err := emptyKey(p.value, key, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: "+p.name); err != nil && p.op == "=" {
			return kc, err
		}
	}
	if !seen[v.hash.Name] {
		return kc, validation("Query condition missed key schema element: " + v.hash.Name)
	}
	return kc, nil
}

func (db *database) query(in *readInput) (any, error) {
	if in.KeyConditionExpression == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	return db.page(in)
}

func (db *database) scan(in *readInput) (any, error) {
	if in.KeyConditionExpression != nil || in.ScanIndexForward != nil {
		return nil, notImplemented("KeyConditionExpression or ScanIndexForward in Scan")
	}
	return db.page(in)
}

// maxPage is how much a Query or Scan reads before it stops.
const maxPage = 1 << 20

// page answers a Query, or without key condition a Scan.
func (db *database) page(in *readInput) (any, error) {
	v, err := db.view(in)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Select != "" && in.Select != "SPECIFIC_ATTRIBUTES":
		return nil, notImplemented("Select " + in.Select)
	case in.Select != "" && in.ProjectionExpression == nil:
		return nil, validation("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case in.Limit != nil && *in.Limit < 1:
		return nil, validation(fmt.Sprintf("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit))
	}
	if err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.KeyConditionExpression, in.ProjectionExpression); err != nil {
		return nil, err
	}

	var (
		scope = newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
		keyed keyCondition
		hash  *value
		names []string
	)
	if in.KeyConditionExpression != nil {
		cond, err := parseCondition("KeyConditionExpression", *in.KeyConditionExpression, scope)
		if err != nil {
			return nil, err
		}
		if keyed, err = v.keyCondition(cond); err != nil {
			return nil, err
		}
		hash = &keyed.hash
	}
	if in.ProjectionExpression != nil {
		if names, err = parseProjection(*in.ProjectionExpression, scope); err != nil {
			return nil, err
		}
	}
	if err := scope.unused(); err != nil {
		return nil, err
	}
	if err := v.checkStart(in.ExclusiveStartKey, keyed, hash); err != nil {
		return nil, err
	}

	found := db.items(v, hash, in.ConsistentRead)
	backward := in.ScanIndexForward != nil && !*in.ScanIndexForward
	if backward {
		slices.Reverse(found)
	}
	limit := len(found) + 1
	if in.Limit != nil {
		limit = *in.Limit
	}
	if n := pageSize(db.chaos); n > 0 {
		limit = min(limit, n)
	}
	items, size, out := []item{}, 0, map[string]any{}
	for _, it := range found {
		if in.ExclusiveStartKey != nil {
			if n := v.order(it, in.ExclusiveStartKey); !backward && n <= 0 || backward && n >= 0 {
				continue
			}
		}
		if keyed.rng != nil && !keyed.rng.holds(it) {
			continue
		}
		size += it.size()
		items = append(items, it.only(names))
		if len(items) == limit || size > maxPage {
			var key []string
			for _, k := range v.keys() {
				key = append(key, k.Name)
			}
			out["LastEvaluatedKey"] = it.only(key)
			break
		}
	}
	out["Items"], out["Count"], out["ScannedCount"] = items, len(items), len(items)
	return out, nil
}

// only is the part of an item that is named; all of it for no names.
func (it item) only(names []string) item {
	if names == nil {
		return it
	}
	part := item{}
	for _, name := range names {
		if v, ok := it[name]; ok {
			part[name] = v
		}
	}
	return part
}

// checkStart refuses a start key that no page of this query could have ended
// with.
func (v *view) checkStart(start item, keyed keyCondition, hash *value) error {
	if start == nil {
		return nil
	}
	invalid := validation("The provided starting key is invalid")
	if len(start) != len(v.keys()) {
		return invalid
	}
	for _, k := range v.keys() {
		if a, ok := start[k.Name]; !ok || string(a.kind) != k.Type {
			return invalid
		}
	}
	if hash != nil && !start[v.hash.Name].equal(*hash) || keyed.rng != nil && !keyed.rng.holds(start) {
		return validation("The provided starting key is outside query boundaries based on provided conditions")
	}
	return nil
}
