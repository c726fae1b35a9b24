package awstest

import (
	"crypto/md5" //nolint:gosec // spreads hash keys, secures nothing
	"fmt"
	"maps"
	"slices"
)

type readInput struct {
	TableName                 string
	Key                       item
	IndexName                 *string
	ConsistentRead            bool
	KeyConditionExpression    *string
	FilterExpression          *string
	ProjectionExpression      *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
	ScanIndexForward          *bool
	Limit                     *int
	ExclusiveStartKey         item
	Select                    string
	ReturnConsumedCapacity    string
}

func (db *database) getItem(c *call, in *struct {
	TableName                string
	Key                      item
	ConsistentRead           bool
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
},
) (any, error) {
	t, err := db.table(c, in.TableName)
	if err != nil {
		return nil, err
	}
	paths, err := projectionOf(in.ProjectionExpression, in.ExpressionAttributeNames)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(in.Key); err != nil {
		return nil, err
	}
	out := map[string]any{}
	it := db.get(t, in.Key, in.ConsistentRead)
	capacity(out, in.ReturnConsumedCapacity, t, readUnits(it.size(), in.ConsistentRead))
	if it != nil {
		if paths != nil {
			it = project(it, paths)
		}
		out["Item"] = it
	}
	return out, nil
}

func projectionOf(expression *string, names map[string]string) ([]path, error) {
	if err := placeholders(names, nil, expression); err != nil || expression == nil {
		return nil, err
	}
	s := newScope(names, nil)
	paths, err := parseProjection(*expression, s)
	if err == nil {
		err = s.unused()
	}
	return paths, err
}

// readUnits is what a read costs: half a unit for 4 KB if it may be stale.
func readUnits(size int, consistent bool) float64 {
	n := float64(units(size, 4096))
	if !consistent {
		n /= 2
	}
	return n
}

const maxBatchGet = 100

func (db *database) batchGetItem(c *call, in *struct {
	RequestItems map[string]struct {
		Keys                     []item
		ConsistentRead           bool
		ProjectionExpression     *string
		ExpressionAttributeNames map[string]string
	}
	ReturnConsumedCapacity string
},
) (any, error) {
	n := 0
	for _, r := range in.RequestItems {
		n += len(r.Keys)
	}
	if n == 0 || n > maxBatchGet {
		return nil, validation("Too many items requested for the BatchGetItem call")
	}
	responses, unprocessed := map[string][]item{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		r := in.RequestItems[name]
		t, err := db.table(c, name)
		if err != nil {
			return nil, err
		}
		paths, err := projectionOf(r.ProjectionExpression, r.ExpressionAttributeNames)
		if err != nil {
			return nil, err
		}
		seen, left := map[string]bool{}, []item{}
		responses[name] = []item{}
		for i, key := range r.Keys {
			if err := t.checkKey(key); err != nil {
				return nil, err
			}
			_, both := t.id(key)
			if seen[both] {
				return nil, validation("Provided list of item keys contains duplicates")
			}
			seen[both] = true
			if i > 0 && db.chaos.OneIn(8) { // unprocessed, to be asked for again
				left = append(left, key)
				continue
			}
			if it := db.get(t, key, r.ConsistentRead); it != nil {
				if paths != nil {
					it = project(it, paths)
				}
				responses[name] = append(responses[name], it)
			}
		}
		if len(left) > 0 {
			again := map[string]any{"Keys": left, "ConsistentRead": r.ConsistentRead}
			if r.ProjectionExpression != nil {
				again["ProjectionExpression"] = r.ProjectionExpression
			}
			if r.ExpressionAttributeNames != nil {
				again["ExpressionAttributeNames"] = r.ExpressionAttributeNames
			}
			unprocessed[name] = again
		}
	}
	return map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}, nil
}

// view is what a Query or Scan looks at: the table, or one of its indexes.
type view struct {
	table *table
	index *Index // nil for the table itself
	hash  Key
	rng   Key
}

func (db *database) view(c *call, in *readInput) (*view, error) {
	t, err := db.table(c, in.TableName)
	if err != nil {
		return nil, err
	}
	v := &view{table: t, hash: t.Hash, rng: t.Range}
	if in.IndexName == nil {
		return v, nil
	}
	i := slices.IndexFunc(t.Indexes, func(x Index) bool { return x.Name == *in.IndexName })
	if i < 0 {
		return nil, validation("The table does not have the specified index: " + *in.IndexName)
	}
	if in.ConsistentRead {
		return nil, validation("Consistent reads are not supported on global secondary indexes")
	}
	v.index = &t.Indexes[i]
	v.hash, v.rng = v.index.Hash, v.index.Range
	return v, nil
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
	t := v.table
	now := db.opts.Now()
	var found []item
	add := func(it item) {
		for _, k := range keysOf(v.hash, v.rng) {
			if _, ok := it[k.Name]; !ok {
				return
			}
		}
		if it != nil && (hash == nil || it[v.hash.Name].equal(*hash)) {
			found = append(found, it)
		}
	}
	partition := ""
	if hash != nil && v.index == nil {
		partition = hash.identity()
	}
	for h, rows := range t.rows {
		if partition != "" && h != partition {
			continue
		}
		for both, it := range rows {
			if p, ok := t.past[both]; ok && !consistent && now.Before(p.until) && db.chaos.OneIn(2) {
				it = p.item
			}
			add(it)
		}
	}
	if !consistent { // deleted a moment ago
		for both, p := range t.past {
			if t.rows[p.hash][both] == nil && now.Before(p.until) && db.chaos.OneIn(2) {
				add(p.item)
			}
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
	var (
		parts []condition
		kc    keyCondition
		found bool
	)
	if b, ok := c.(both); ok {
		parts = []condition{b.a, b.b}
	} else {
		parts = []condition{c}
	}
	unsupported := validation("Query key condition not supported")
	seen := map[string]bool{}
	for _, part := range parts {
		name, equals, operands, err := keyPart(part)
		if err != nil {
			return kc, err
		}
		if seen[name] {
			return kc, validation("KeyConditionExpressions must only contain one condition per key")
		}
		seen[name] = true
		key := v.hash
		switch {
		case name == v.hash.Name && equals:
			kc.hash, found = operands[0].value, true
		case name == v.rng.Name && v.rng.Name != "":
			key, kc.rng = v.rng, part
		default:
			if name == v.hash.Name {
				return kc, unsupported
			}
			return kc, validation("Query condition missed key schema element: " + v.missing(seen))
		}
		for _, o := range operands {
			if string(o.kind) != key.Type {
				return kc, validation("One or more parameter values were invalid: Condition parameter type does not match schema type")
			}
			if err := emptyKey(o.value, key, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: "+name); err != nil && equals {
				return kc, err
			}
		}
	}
	if !found {
		return kc, validation("Query condition missed key schema element: " + v.hash.Name)
	}
	return kc, nil
}

// missing names the first key attribute no condition was about.
func (v *view) missing(seen map[string]bool) string {
	if !seen[v.hash.Name] || v.rng.Name == "" {
		return v.hash.Name
	}
	return v.rng.Name
}

// keyPart takes one part of a key condition apart.
func keyPart(c condition) (name string, equals bool, operands []constant, err error) {
	var (
		subject operand
		others  []operand
	)
	refuse := func(operator string) error {
		return validation("Invalid operator used in KeyConditionExpression: " + operator)
	}
	switch c := c.(type) {
	case compare:
		if c.op == "<>" {
			return "", false, nil, refuse("<>")
		}
		subject, others, equals = c.a, []operand{c.b}, c.op == "="
	case between:
		subject, others = c.x, []operand{c.low, c.high}
	case predicate:
		if c.name != "begins_with" {
			return "", false, nil, refuse(c.name)
		}
		subject, others = c.a, []operand{c.b}
	case either:
		return "", false, nil, refuse("OR")
	case not:
		return "", false, nil, refuse("NOT")
	case among:
		return "", false, nil, refuse("IN")
	default: // a third condition
		return "", false, nil, validation("Query key condition not supported")
	}
	p, ok := subject.(path)
	if !ok || len(p) != 1 {
		return "", false, nil, validation("Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes, functions or values")
	}
	for _, o := range others {
		v, ok := o.(constant)
		if !ok {
			return "", false, nil, validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		}
		operands = append(operands, v)
	}
	return p[0].name, equals, operands, nil
}

func (db *database) query(c *call, in *readInput) (any, error) {
	if in.KeyConditionExpression == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	return db.page(c, in)
}

func (db *database) scan(c *call, in *readInput) (any, error) {
	if in.KeyConditionExpression != nil || in.ScanIndexForward != nil {
		return nil, notPlayed("KeyConditionExpression or ScanIndexForward in Scan")
	}
	return db.page(c, in)
}

// maxPage is how much a Query or Scan reads before it stops.
const maxPage = 1 << 20

// page answers a Query, or without key condition a Scan.
func (db *database) page(c *call, in *readInput) (any, error) {
	v, err := db.view(c, in)
	if err != nil {
		return nil, err
	}
	if in.Key != nil {
		return nil, notPlayed("Key in " + c.operation)
	}
	if err := oneOf("select", in.Select, "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"); err != nil {
		return nil, err
	}
	if err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.KeyConditionExpression, in.FilterExpression, in.ProjectionExpression); err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, validation(fmt.Sprintf("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit))
	}

	var (
		scope  = newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
		keyed  keyCondition
		hash   *value
		filter condition
		paths  []path
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
	if in.FilterExpression != nil {
		if filter, err = parseCondition("FilterExpression", *in.FilterExpression, scope); err != nil {
			return nil, err
		}
		if err := v.checkFilter(in, filter); err != nil {
			return nil, err
		}
	}
	if in.ProjectionExpression != nil {
		if paths, err = parseProjection(*in.ProjectionExpression, scope); err != nil {
			return nil, err
		}
	}
	if err := scope.unused(); err != nil {
		return nil, err
	}
	if err := v.checkSelect(in); err != nil {
		return nil, err
	}
	if err := v.checkStart(in.ExclusiveStartKey, keyed, hash); err != nil {
		return nil, err
	}

	consistent := in.ConsistentRead
	found := db.items(v, hash, consistent)
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

	var (
		items         = []item{}
		last          item
		scanned, size int
	)
	for _, it := range found {
		if in.ExclusiveStartKey != nil {
			if n := v.order(it, in.ExclusiveStartKey); !backward && n <= 0 || backward && n >= 0 {
				continue
			}
		}
		if keyed.rng != nil && !keyed.rng.holds(it) {
			continue
		}
		seen := v.projected(it)
		scanned, size = scanned+1, size+seen.size()
		if filter == nil || filter.holds(seen) {
			if paths != nil {
				seen = project(seen, paths)
			}
			items = append(items, seen)
		}
		if scanned == limit || size > maxPage {
			last = v.position(it)
			break
		}
	}
	out := map[string]any{"Count": len(items), "ScannedCount": scanned}
	if in.Select != "COUNT" {
		out["Items"] = items
	}
	if last != nil {
		out["LastEvaluatedKey"] = last
	}
	capacity(out, in.ReturnConsumedCapacity, v.table, readUnits(size, consistent))
	return out, nil
}

// position is the key of an item in the view, for LastEvaluatedKey.
func (v *view) position(it item) item {
	key := item{}
	for _, k := range v.keys() {
		key[k.Name] = it[k.Name]
	}
	return key
}

// projected is what the view holds of an item.
func (v *view) projected(it item) item {
	if v.index == nil || v.index.Project == nil {
		return it
	}
	held := v.position(it)
	for _, name := range v.index.Project {
		if a, ok := it[name]; ok {
			held[name] = a
		}
	}
	return held
}

func (v *view) checkSelect(in *readInput) error {
	switch {
	case in.Select == "ALL_PROJECTED_ATTRIBUTES" && v.index == nil:
		return validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case in.Select == "SPECIFIC_ATTRIBUTES" && in.ProjectionExpression == nil:
		return validation("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case in.Select != "" && in.Select != "SPECIFIC_ATTRIBUTES" && in.ProjectionExpression != nil:
		return validation("Cannot specify the ProjectionExpression when choosing to get " + in.Select)
	case in.Select == "ALL_ATTRIBUTES" && v.index != nil && v.index.Project != nil:
		return validation("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index " + v.index.Name + " because its projection type is not ALL")
	}
	return nil
}

// checkFilter refuses a Query's filter on what the key condition is about.
func (v *view) checkFilter(in *readInput, filter condition) error {
	if in.KeyConditionExpression == nil {
		return nil
	}
	for _, k := range keysOf(v.hash, v.rng) {
		if mentions(filter, k.Name) {
			return validation("Filter Expression can only contain non-primary key attributes: Primary key attribute: " + k.Name)
		}
	}
	return nil
}

// mentions says whether a condition looks at a top-level attribute.
func mentions(node any, name string) bool {
	in := func(nodes ...any) bool {
		return slices.ContainsFunc(nodes, func(n any) bool { return n != nil && mentions(n, name) })
	}
	switch n := node.(type) {
	case both:
		return in(n.a, n.b)
	case either:
		return in(n.a, n.b)
	case not:
		return in(n.c)
	case compare:
		return in(n.a, n.b)
	case between:
		return in(n.x, n.low, n.high)
	case among:
		return in(n.x) || slices.ContainsFunc(n.set, func(o operand) bool { return in(o) })
	case predicate:
		return in(n.a, n.b)
	case sizeOf:
		return in(n.path)
	case path:
		return len(n) > 0 && n[0].name == name
	default:
		return false
	}
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
