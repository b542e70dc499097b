package expr

// families are the registry: every function and operator, one file per family.
var families = [][]def{
	comparison,
	arithmetic,
	mathematics,
	dateTime,
	templates,
	patterns,
	strs,
	arrays,
	jsons,
	series,
	systemFuncs,
	catalogFuncs,
	aggregates,
	windows,
}
