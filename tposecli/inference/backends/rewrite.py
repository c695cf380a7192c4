"""How a plain net is rewritten for speed, from outside: the classes of its modules are exchanged for faster ones.

A faster class derives from the plain one and overrides ``forward`` only, so that every other method, the children and
the parameters stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def swap_classes(net: nn.Module, table: Mapping[type[nn.Module], type[nn.Module]]) -> None:
    """Exchange, in place, the class of each module (the net itself included) that is a key of the table.

    Args:
        net: Changed in place.
        table: From a plain class to a class derived from it, which needs no further attributes.
    """
    for module in net.modules():
        # As torch.nn.utils.parametrize does it: nobody who holds the module has to be told of a new one.
        module.__class__ = table.get(type(module), type(module))
