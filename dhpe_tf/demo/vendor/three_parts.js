// What the page uses of three; `npm ci && npm run build` bundles it into ../page/three.js.
export {
  BufferAttribute, BufferGeometry, Color, DirectionalLight, DoubleSide, Group, HemisphereLight, LineBasicMaterial,
  LineSegments, Mesh, MeshBasicMaterial, MeshStandardMaterial, PerspectiveCamera, Scene, SphereGeometry, Spherical,
  WebGLRenderer,
} from 'three';
export {OrbitControls} from 'three/examples/jsm/controls/OrbitControls.js';
