"""Columns of Arrow's view types (`string_view`, `binary_view`) → the usual ones: most of Arrow cannot compute with views yet."""

import pyarrow as pa


def without_views(table: pa.Table) -> pa.Table:
    """The table with no view in it, not even inside lists and structures; the rest as it was.

    >>> without_views(pa.table({"text": pa.array(["a"], pa.string_view())})).schema.field("text").type
    DataType(string)
    """
    for index, field in enumerate(table.schema):
        kind = _plain(field.type)
        if kind != field.type:
            table = table.set_column(index, field.with_type(kind), table.column(index).cast(kind))
    return table


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    for is_one, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_one(kind):
            return make(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    if pa.types.is_map(kind):
        parts = _plain(kind.key_type), _plain(kind.item_type)
        return kind if parts == (kind.key_type, kind.item_type) else pa.map_(*parts)
    return pa.dictionary(kind.index_type, _plain(kind.value_type)) if pa.types.is_dictionary(kind) else kind
