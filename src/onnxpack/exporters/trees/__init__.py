"""Write ensembles of decision trees, of any framework, as an ONNX graph.

A framework's exporter describes its trees with :class:`~.ensemble.Tree` and
:class:`~.ensemble.Ensemble`, opens a :class:`~.graph.Graph`, and writes::

    graph = Graph(opset=18)
    x = graph.input("X", np.dtype("float32"), ["batch", 4])
    tree = Tree(
        feature=[2, -1, -1], threshold=[0.5, 0, 0],         # one entry a node; the root is 0
        left=[1, -1, -1], right=[2, -1, -1],                # -1 at a leaf
        missing_left=[True, False, False],                  # where NaN goes
        value=[[0], [1.5], [-2]],                           # [nodes, targets], read at leaves
    )
    y = add_ensemble(graph, graph.cast(x, np.float64), Ensemble((tree,), targets=1))
    graph.output("prediction", graph.add("Squeeze", y, graph.constant([1])), np.float64)
    graph.save(path)

``add_ensemble`` gives the **sum** of the leaves as float64 [batch, targets]; averages, base values,
links (``Sigmoid``, ``Softmax``, ``Exp``) and labels are ordinary operators added after it.

The reasons for this design, as measured with onnxruntime 1.32:

- Its double kernel is as fast as its float kernel. So all is compared in double: there a float32
  input and a double threshold meet exactly, and no threshold has to be rounded.
- It sums in double, in an order that depends on the threads, and gives float32. So weights are
  written in two parts. The larger part sums without any rounding; both are added afterwards in
  double. What comes out is the sum to some 12 digits, in whatever order it was made. A tree with
  many targets stays one tree, which is ten times faster than one copy for each target.
- Its equality and set nodes are not used. A categorical split is a test of a *column* that
  :class:`~.columns.Columns` looks up: 0 for a category in the set, 1 for any other.

:func:`~.edges.threshold_rows` gives the rows at and beside the thresholds, for ``edges()``.
"""
