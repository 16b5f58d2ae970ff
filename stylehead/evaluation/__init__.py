"""How good is a stylisation? One file per metric, pure functions of tensors; the table and the report page.

Metrics take features, pictures, masks or depths and return numbers; they load nothing and draw nothing. What
they are measured on is put together in `case`, which of them make a table is in `columns`.
"""
